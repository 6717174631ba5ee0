//! Registrations of this node's own clients, in sharded tables.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crs_proto::wire::life::Role;
use crs_types::limits::SECONDARIES_MAX;
use crs_types::{AccountId, ConnectionId, Uri};

use super::{Directory, Registration, TooMany};

const SHARDS: usize = 16;

type Key = (AccountId, Uri);
type Shard = HashMap<Key, Vec<Arc<Registration>>>;

/// The directory of one node without peers.
#[derive(Debug)]
pub struct LocalDirectory {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    count: AtomicUsize,
}

impl LocalDirectory {
    /// An empty directory.
    pub fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, hasher: RandomState::new(), count: AtomicUsize::new(0) }
    }

    fn shard(&self, uri: &Uri) -> MutexGuard<'_, Shard> {
        let index = (self.hasher.hash_one(uri) as usize) % SHARDS;
        locked(&self.shards[index])
    }

    /// Collects entries over all shards, sorted.
    fn collect(&self, wanted: impl Fn(&Key) -> bool) -> Vec<Arc<Registration>> {
        let mut all = Vec::with_capacity(self.count());
        for shard in &self.shards {
            let shard = locked(shard);
            for (_, entries) in shard.iter().filter(|(key, _)| wanted(key)) {
                all.extend(entries.iter().cloned());
            }
        }
        all.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
        all
    }
}

impl Default for LocalDirectory {
    fn default() -> Self {
        Self::new()
    }
}

impl Directory for LocalDirectory {
    fn register(&self, new: Arc<Registration>) -> Result<Vec<Arc<Registration>>, TooMany> {
        let key = (new.account.clone(), new.uri.clone());
        let mut shard = self.shard(&new.uri);
        let entries = shard.entry(key).or_default();
        let displaced = |old: &Arc<Registration>| {
            old.connection == new.connection
                || old.device == new.device
                || (old.role == Role::Primary && new.role == Role::Primary)
        };
        let secondaries =
            entries.iter().filter(|old| old.role == Role::Secondary && !displaced(old)).count();
        if new.role == Role::Secondary && secondaries >= SECONDARIES_MAX {
            return Err(TooMany);
        }
        let (out, mut kept): (Vec<_>, Vec<_>) = entries.drain(..).partition(displaced);
        kept.push(new);
        kept.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
        kept.shrink_to_fit();
        *entries = kept;
        self.count.fetch_add(1, Ordering::AcqRel);
        self.count.fetch_sub(out.len(), Ordering::AcqRel);
        Ok(out)
    }

    fn remove(
        &self,
        account: &AccountId,
        uri: &Uri,
        id: ConnectionId,
    ) -> Option<Arc<Registration>> {
        let key = (account.clone(), uri.clone());
        let mut shard = self.shard(uri);
        let entries = shard.get_mut(&key)?;
        let index = entries.iter().position(|entry| entry.connection == id)?;
        let removed = entries.remove(index);
        if entries.is_empty() {
            shard.remove(&key);
        }
        self.count.fetch_sub(1, Ordering::AcqRel);
        Some(removed)
    }

    fn find(&self, account: &AccountId, uri: &Uri) -> Vec<Arc<Registration>> {
        let key = (account.clone(), uri.clone());
        self.shard(uri).get(&key).cloned().unwrap_or_default()
    }

    fn of_account(&self, account: &AccountId) -> Vec<Arc<Registration>> {
        self.collect(|(a, _)| a == account)
    }

    fn snapshot(&self) -> Vec<Arc<Registration>> {
        self.collect(|_| true)
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }
}

/// The order in which registrations are handed out.
fn order(r: &Registration) -> (&AccountId, &Uri, bool, ConnectionId) {
    (&r.account, &r.uri, r.role != Role::Primary, r.connection)
}

/// A panic while a shard was locked cannot leave it half changed in a way that matters: entries
/// are replaced whole.
fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::ShownKeys;
    use crate::connection::{ConnectionHandle, ConnectionMsg};
    use crate::directory::KeyExchange;
    use crate::handle::{Bounded, Gate, Handle};
    use crate::metrics::QueueMetrics;
    use crate::testing::NOW;
    use crs_types::{ClientAddr, DeviceId, Generation, NodeName};
    use ractor::{Actor, ActorProcessingErr, ActorRef};

    struct Nobody;

    impl Actor for Nobody {
        type Msg = Bounded<ConnectionMsg>;
        type State = ();
        type Arguments = ();

        async fn pre_start(
            &self,
            _: ActorRef<Self::Msg>,
            (): (),
        ) -> Result<(), ActorProcessingErr> {
            Ok(())
        }
    }

    async fn handle() -> Handle<ConnectionMsg> {
        let (actor, _) = Nobody::spawn(None, Nobody, ()).await.unwrap();
        Handle::new(actor, Gate::new(1, QueueMetrics::default()))
    }

    fn registration(
        handle: &Handle<ConnectionMsg>,
        id: u64,
        uri: &str,
        role: Role,
        device: &str,
    ) -> Arc<Registration> {
        let connection = ConnectionId(id);
        Arc::new(Registration {
            account: AccountId::parse("acme").unwrap(),
            uri: Uri::parse(uri).unwrap(),
            role,
            device: DeviceId::parse(device).unwrap(),
            connection,
            handle: ConnectionHandle::new(connection, handle.clone()),
            since: NOW,
            version: "".into(),
            addr: ClientAddr::new("192.0.2.1:1".parse().unwrap()),
            key_exchange: KeyExchange::Hybrid,
            keys: ShownKeys { generation: Generation(1), issuer: None },
            node: NodeName::parse("crs1").unwrap(),
        })
    }

    fn ids(all: &[Arc<Registration>]) -> Vec<u64> {
        all.iter().map(|r| r.connection.0).collect()
    }

    #[tokio::test]
    async fn primary_displaces_primary_and_device_displaces_itself() {
        let (directory, handle) = (LocalDirectory::new(), handle().await);
        let add = |id, role, device: &str| {
            directory.register(registration(&handle, id, "+46701", role, device))
        };
        assert!(add(1, Role::Primary, "a").unwrap().is_empty());
        assert_eq!(ids(&add(2, Role::Primary, "b").unwrap()), [1]);
        for id in 3..8 {
            assert!(add(id, Role::Secondary, &format!("s{id}")).unwrap().is_empty());
        }
        assert_eq!(add(9, Role::Secondary, "s9").unwrap_err(), TooMany);
        assert_eq!(ids(&add(10, Role::Secondary, "s4").unwrap()), [4]);
        // The primary's device becomes a sixth secondary: refused, and it stays what it was.
        assert_eq!(add(11, Role::Secondary, "b").unwrap_err(), TooMany);
        assert_eq!(ids(&directory.snapshot()), [2, 3, 5, 6, 7, 10]);
        let (account, uri) = (AccountId::parse("ACME").unwrap(), Uri::parse("+46701").unwrap());
        assert!(directory.remove(&account, &uri, ConnectionId(4)).is_none());
        assert!(directory.remove(&account, &uri, ConnectionId(2)).is_some());
        assert_eq!((directory.count(), ids(&directory.find(&account, &uri))[0]), (5, 3));
    }

    #[tokio::test]
    async fn ten_thousand_come_out_in_order() {
        let (directory, handle) = (LocalDirectory::new(), handle().await);
        for id in 0..10_000u64 {
            let uri = format!("+46{:07}", (id * 7919) % 10_000);
            let device = format!("d{id}");
            directory.register(registration(&handle, id, &uri, Role::Primary, &device)).unwrap();
        }
        let all = directory.snapshot();
        assert_eq!((all.len(), directory.count()), (10_000, 10_000));
        assert!(all.is_sorted_by(|a, b| a.uri < b.uri));
    }
}
