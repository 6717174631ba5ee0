//! How many connections one user may have: a person's devices, with room for dead ones that are
//! not noticed yet, but not all the places of a node.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crs_types::{AccountId, ConnectionId, Uri};

use super::ConnectionHandle;

/// Connections of one user, six of which may be registered. Beyond it the oldest one that is not
/// registered is closed.
pub const USER_CONNECTIONS_MAX: usize = 32;

type User = (AccountId, Uri);

/// The connections of each user of this node, oldest first.
#[derive(Debug, Default)]
pub struct Crowd(Mutex<BTreeMap<User, Vec<ConnectionHandle>>>);

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Member {
    crowd: Arc<Crowd>,
    user: User,
    id: ConnectionId,
}

impl Crowd {
    /// Adds a connection. When the user has too many, the oldest that is not `registered` is
    /// closed; it leaves by itself.
    pub(super) fn enter(
        self: &Arc<Self>,
        user: User,
        connection: ConnectionHandle,
        registered: impl Fn(ConnectionId) -> bool,
    ) -> Member {
        let id = connection.id();
        let excess = {
            let mut users = self.lock();
            let all = users.entry(user.clone()).or_default();
            let full = all.len() >= USER_CONNECTIONS_MAX;
            let oldest = full.then(|| all.iter().position(|c| !registered(c.id()))).flatten();
            let excess = oldest.map(|at| all.remove(at));
            all.push(connection);
            all.shrink_to_fit();
            excess
        };
        if let Some(excess) = excess {
            excess.close();
        }
        Member { crowd: Arc::clone(self), user, id }
    }

    /// Closes every connection, registered or not: the node stops.
    pub(crate) fn close_all(&self) {
        let all: Vec<ConnectionHandle> = self.lock().values().flatten().cloned().collect();
        all.iter().for_each(ConnectionHandle::close);
    }

    /// Every change is completed under the lock by code that does not panic.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<User, Vec<ConnectionHandle>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut users = self.crowd.lock();
        let Some(all) = users.get_mut(&self.user) else { return };
        all.retain(|connection| connection.id() != self.id);
        if all.is_empty() {
            users.remove(&self.user);
        }
    }
}
