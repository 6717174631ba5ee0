//! How the rest of the node reaches a client connection.

use crs_proto::wire::life::UnregisteredReason;
use crs_types::ConnectionId;

use super::ServerEvent;
use super::inner::Inner;
use crate::handle::{CastError, Handle};

/// Messages to a connection's actor.
#[derive(Debug)]
pub enum ConnectionMsg {
    /// Send an event to the client.
    Event(ServerEvent),
    /// End the registration; see [`ConnectionHandle::unregister`].
    Unregister(UnregisteredReason),
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
            Self::Unregister(_) | Self::Close | Self::Internal(_) => None,
        }
    }
}

impl ConnectionHandle {
    /// A handle to the actor of connection `id`.
    pub fn new(id: ConnectionId, handle: Handle<ConnectionMsg>) -> Self {
        Self { id, handle }
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

    /// Ends the registration with a reason the client is told. After `purged`, `blacklisted`,
    /// `account-deleted`, `update-required` and `node-drain` the connection is closed too.
    pub fn unregister(&self, reason: UnregisteredReason) -> Result<(), CastError> {
        self.cast(ConnectionMsg::Unregister(reason))
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
