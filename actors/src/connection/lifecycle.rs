//! The four states of a connection as `trace connection` shows them (C-375…C-378). The last one
//! is emitted when the value is dropped, whatever ended the connection.

use std::sync::Arc;

use crs_keys::identity::UserIdentity;
use crs_types::{ClientAddr, ConnectionId};

use crate::context::NodeContext;
use crate::listener::{Newcomer, Place};
use crate::trace::{ConnectionEvent, ConnectionState, TraceEvent, TraceUser};

/// A connection from accept to close; it also holds the connection's place among all, and until it
/// has attached the one among its network's.
pub(crate) struct Lifecycle {
    context: Arc<NodeContext>,
    id: ConnectionId,
    addr: ClientAddr,
    user: TraceUser,
    _place: Place,
    newcomer: Option<Newcomer>,
}

impl Lifecycle {
    /// TCP is established.
    pub(crate) fn connected(
        context: Arc<NodeContext>,
        addr: ClientAddr,
        place: Place,
        newcomer: Newcomer,
    ) -> Self {
        let (id, user) = (context.next_connection(), TraceUser::Unknown);
        let this = Self { context, id, addr, user, _place: place, newcomer: Some(newcomer) };
        this.state(ConnectionState::Connected);
        this
    }

    /// TLS has told who it is.
    pub(crate) fn authenticated(&mut self, identity: &UserIdentity) {
        let UserIdentity { account, uri, .. } = identity;
        self.user = TraceUser::Client { uri: uri.clone(), account: account.clone() };
        self.state(ConnectionState::Authenticated);
    }

    /// It has attached: from here on it is no matter of its network's.
    pub(crate) fn attached(&mut self) {
        self.newcomer = None;
    }

    /// A further state.
    pub(crate) fn state(&self, state: ConnectionState) {
        if self.context.trace.enabled() {
            self.context.trace.emit(TraceEvent::Connection(ConnectionEvent {
                time: self.context.clock.now(),
                id: self.id,
                user: self.user.clone(),
                addr: self.addr,
                state,
            }));
        }
    }

    /// The connection's id.
    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    /// The client's address.
    pub(crate) fn addr(&self) -> ClientAddr {
        self.addr
    }
}

impl Drop for Lifecycle {
    fn drop(&mut self) {
        self.state(ConnectionState::Closed);
    }
}
