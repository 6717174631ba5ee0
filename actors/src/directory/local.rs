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
