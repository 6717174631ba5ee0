//! How the rest of the node reaches a client connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crs_proto::wire::life::UnregisteredReason;
use crs_proto::wire::message::AckedEvent;
use crs_types::ConnectionId;

use super::ServerEvent;
use super::inner::Inner;
use crate::handle::{CastError, Handle};

/// Messages to a connection's actor.
#[derive(Debug)]
pub enum ConnectionMsg {
    /// Send an event to the client.
    Event(ServerEvent),
    /// Something came to the mailbox; see [`ConnectionHandle::news`].
    News,
    /// End the registration; see [`ConnectionHandle::unregister`].
    Unregister(UnregisteredReason),
    /// Look whether the accounts as they are now let it go on.
    Review,
    /// Close the connection.
    Close,
    /// From the connection's own tasks.
    Internal(Internal),
}

/// What only a connection's own tasks can say.
#[derive(Debug)]
pub struct Internal(pub(super) Inner);

/// A client connection of this node. Cheap to clone; sending never waits.
#[derive(Debug, Clone)]
pub struct ConnectionHandle {
    id: ConnectionId,
    handle: Handle<ConnectionMsg>,
    /// Number of the newest item that the actor has not looked at; 0: it knows all.
    news: Arc<AtomicU64>,
}

impl ConnectionMsg {
    pub(super) fn internal(inner: Inner) -> Self {
        Self::Internal(Internal(inner))
    }

    /// The event a fake connection was asked to send.
    #[cfg(test)]
    pub(crate) fn event(self) -> Option<ServerEvent> {
        match self {
            Self::Event(event) => Some(event),
            Self::News | Self::Unregister(_) | Self::Review | Self::Close | Self::Internal(_) => {
                None
            }
        }
    }
}

impl ConnectionHandle {
    /// A handle to the actor of connection `id`.
    pub fn new(id: ConnectionId, handle: Handle<ConnectionMsg>) -> Self {
        Self { id, handle, news: Arc::default() }
    }

    /// The connection's id, as `trace` prints it.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Sends an event to the client. A refusal means that the client is too slow or gone; the
    /// connection is then cut, and what it missed comes again after its reconnect.
    pub fn event(&self, event: ServerEvent) -> Result<(), CastError> {
        self.cast(ConnectionMsg::Event(event))
    }

    /// Items came to the user's mailbox, the last one with number `newest` (from 1). However many
    /// come before the actor looks, they take one place in its queue.
    pub fn news(&self, newest: u64) {
        if self.news.fetch_max(newest, Ordering::AcqRel) == 0 {
            // A client that cannot be told is cut, and fetches after its reconnect.
            let _ = self.cast(ConnectionMsg::News);
        }
    }

    /// The newest item since this was last asked.
    pub(super) fn take_news(&self) -> u64 {
        self.news.swap(0, Ordering::AcqRel)
    }

    /// A receipt came. The receipt lies in the mailbox too, so a client that is told of many at
    /// once is not told of all: half the queue is for what must not be left out.
    pub fn receipt(&self, acked: AckedEvent) {
        let gate = self.handle.gate();
        if gate.depth() < gate.limit() / 2 {
            let _ = self.cast(ConnectionMsg::Event(ServerEvent::MessageAcked(acked)));
        }
    }

    /// Ends the registration with a reason the client is told. After `purged`, `blacklisted`,
    /// `account-deleted`, `not-listed`, `update-required` and `node-drain` the connection is closed
    /// too, also when it has no registration.
    pub fn unregister(&self, reason: UnregisteredReason) -> Result<(), CastError> {
        self.cast(ConnectionMsg::Unregister(reason))
    }

    /// The accounts have changed: a connection without a registration that they no longer allow
    /// ends.
    pub(super) fn review(&self) {
        let _ = self.cast(ConnectionMsg::Review);
    }

    /// Closes the connection, even when its queue is full.
    pub fn close(&self) {
        let _ = self.cast(ConnectionMsg::Close);
    }

    /// Makes the actor panic.
    #[cfg(test)]
    pub(crate) fn panic(&self) {
        let _ = self.cast(ConnectionMsg::internal(Inner::Panic));
    }

    fn cast(&self, message: ConnectionMsg) -> Result<(), CastError> {
        // Whoever cannot be told is cut without a further word.
        self.handle.try_cast(message).inspect_err(|_| self.handle.actor().stop(None))
    }
}
