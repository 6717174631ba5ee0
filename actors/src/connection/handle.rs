//! How the rest of the node reaches a client connection.

use crs_proto::wire::life::UnregisteredReason;
use crs_types::ConnectionId;

use super::ServerEvent;
use crate::handle::{CastError, Handle};

/// Messages to a connection's actor.
#[derive(Debug)]
pub enum ConnectionMsg {
    /// Send an event to the client.
    Event(ServerEvent),
    /// End the registration; the connection goes on unless a detach-cleanup rule says otherwise.
    Unregister(UnregisteredReason),
    /// Close the connection.
    Close,
}

/// A client connection of this node. Cheap to clone; sending never waits.
#[derive(Debug, Clone)]
pub struct ConnectionHandle {
    id: ConnectionId,
    handle: Handle<ConnectionMsg>,
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
        self.handle.try_cast(ConnectionMsg::Event(event)).inspect_err(|_| self.cut())
    }

    /// Ends the registration with a reason the client is told.
    pub fn unregister(&self, reason: UnregisteredReason) -> Result<(), CastError> {
        self.handle.try_cast(ConnectionMsg::Unregister(reason)).inspect_err(|_| self.cut())
    }

    /// Closes the connection, even when its queue is full.
    pub fn close(&self) {
        if self.handle.try_cast(ConnectionMsg::Close).is_err() {
            self.cut();
        }
    }

    /// Ends the actor without any further word to the client.
    fn cut(&self) {
        self.handle.actor().stop(None);
    }
}
