//! What the connections of one user share: how many there may be (a person's devices, with room
//! for dead ones that are not noticed yet, but not all the places of a node), and how fast they
//! may ask (Q-55: a rate is the user's, over all connections and from one to the next).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crs_proto::connection::UserBuckets;
use crs_proto::wire::life::UnregisteredReason;
use crs_types::{AccountId, Clock, ConnectionId, Uri};

use super::ConnectionHandle;
use super::departed::Departed;

/// Connections of one user, six of which may be registered. Beyond it the oldest one that is not
/// registered is closed.
pub const USER_CONNECTIONS_MAX: usize = 32;

pub(super) type User = (AccountId, Uri);

/// The users of this node.
pub struct Crowd {
    clock: Arc<dyn Clock>,
    users: Mutex<Users>,
}

#[derive(Default)]
struct Users {
    present: BTreeMap<User, Present>,
    departed: Departed,
}

/// A user with a connection.
#[derive(Default)]
struct Present {
    /// Oldest first; without those that were told to close and have not gone yet.
    connections: Vec<ConnectionHandle>,
    /// All that have not gone yet.
    members: usize,
    buckets: Arc<Mutex<UserBuckets>>,
}

/// One connection's place; given back when dropped.
pub(super) struct Member {
    crowd: Arc<Crowd>,
    user: User,
    id: ConnectionId,
    buckets: Arc<Mutex<UserBuckets>>,
}

impl Crowd {
    /// Nobody is connected.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, users: Mutex::default() })
    }

    /// Adds a connection. When the user has too many, the oldest that is not `registered` is
    /// closed; it leaves by itself.
    pub(super) fn enter(
        self: &Arc<Self>,
        user: User,
        connection: ConnectionHandle,
        registered: impl Fn(ConnectionId) -> bool,
    ) -> Member {
        let id = connection.id();
        let (excess, buckets) = {
            let mut users = lock(&self.users);
            let Users { present, departed } = &mut *users;
            let this = present.entry(user.clone()).or_insert_with(|| {
                let buckets = departed.take(&user, self.clock.mono());
                Present { buckets: Arc::new(Mutex::new(buckets)), ..Present::default() }
            });
            let all = &mut this.connections;
            let full = all.len() >= USER_CONNECTIONS_MAX;
            let oldest = full.then(|| all.iter().position(|c| !registered(c.id()))).flatten();
            let excess = oldest.map(|at| all.remove(at));
            all.push(connection);
            all.shrink_to_fit();
            this.members += 1;
            (excess, Arc::clone(&this.buckets))
        };
        if let Some(excess) = excess {
            excess.close();
        }
        Member { crowd: Arc::clone(self), user, id, buckets }
    }

    /// Ends the connections of the users that are meant, but for those that were `told` to end
    /// already. Returns how many.
    pub(crate) fn end_where(
        &self,
        meant: impl Fn(&AccountId, &Uri) -> bool,
        told: &[ConnectionId],
        reason: UnregisteredReason,
    ) -> u64 {
        let mut closing: Vec<ConnectionHandle> = Vec::new();
        for ((account, uri), user) in &lock(&self.users).present {
            if meant(account, uri) {
                let rest = user.connections.iter().filter(|c| !told.contains(&c.id()));
                closing.extend(rest.cloned());
            }
        }
        for connection in &closing {
            // One that cannot be told is cut.
            let _ = connection.unregister(reason);
        }
        closing.len() as u64
    }

    /// Has the connections of an account look whether they may go on, but for those that are
    /// `registered`: of these the directory's owner knows.
    pub(crate) fn review(&self, id: &AccountId, registered: &BTreeSet<ConnectionId>) {
        let others: Vec<ConnectionHandle> = {
            let users = lock(&self.users);
            let of_account = users.present.iter().filter(|((account, _), _)| account == id);
            let all = of_account.flat_map(|(_, user)| &user.connections);
            all.filter(|connection| !registered.contains(&connection.id())).cloned().collect()
        };
        others.iter().for_each(ConnectionHandle::review);
    }

    /// Closes every connection, registered or not: the node stops.
    pub(crate) fn close_all(&self) {
        let all: Vec<ConnectionHandle> = {
            let users = lock(&self.users);
            users.present.values().flat_map(|user| &user.connections).cloned().collect()
        };
        all.iter().for_each(ConnectionHandle::close);
    }
}

impl Member {
    /// The rates of the connection's user. Held for one decision, never over an await.
    pub(super) fn buckets(&self) -> MutexGuard<'_, UserBuckets> {
        lock(&self.buckets)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let now = self.crowd.clock.mono();
        let mut users = lock(&self.crowd.users);
        let Users { present, departed } = &mut *users;
        let Some(this) = present.get_mut(&self.user) else { return };
        this.connections.retain(|connection| connection.id() != self.id);
        this.members = this.members.saturating_sub(1);
        if this.members == 0 {
            let buckets = *lock(&this.buckets);
            present.remove(&self.user);
            departed.keep(self.user.clone(), buckets, now);
        }
    }
}

/// Every change is completed under the lock by code that does not panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
