//! The handle everybody else holds: propose, read, watch, and close.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crs_types::disk::Disk;
use crs_types::{AccountId, BlobHash, Clock, GroupId, Slot, Timestamp, Uri};
use openraft::RaftNetworkFactory;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

mod blob;
mod confirm;
mod error;
mod expiry;
mod group;
mod inner;
mod metrics;
mod open;
mod post;
mod read;
mod status;
mod tasks;

pub use blob::{BLOB_MAX, PutBlob};
pub use confirm::ConfirmHook;
pub use error::{OpenError, ReadError, WriteError};
pub use group::{BATCH_BYTES, BATCH_MAX, COMMAND_MAX, QUEUE_MAX};
pub use metrics::StoreMetrics;
pub use read::{ClientInfo, MailItem, PAGE_ITEMS_MAX, Page, UserCounters, UserView, Waiting};
pub use status::{GroupStatus, StoreStatus};

use self::expiry::ExpiryClock;
use self::group::Group;
use crate::command::control::ControlState;
use crate::command::mailbox::{Ack, Arrival};
use crate::command::{ControlCommand, ControlReply, MailboxCommand, MailboxReply, UserKey};
use crate::raft::{Command, Reply, TypeConfig};
use crate::table::Engine;
use crate::wal::{PlantedFault, Wal};

/// Read times of most users that wait to be written; further ones are not noted.
const PENDING_READS_MAX: usize = 65_536;
/// Read times written by one command.
pub(crate) const READS_PER_ENTRY: usize = 1_024;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// This node's id in the Raft groups; the first node of a pool is 1.
    pub node: crs_types::NodeId,
    /// Number of mailbox groups. Fixed when the store is made; another number is refused.
    pub mailbox_groups: u16,
    /// Posts are refused when fewer bytes than this are free on the disk.
    pub min_free_bytes: u64,
    /// Size of a log segment in bytes.
    pub segment_bytes: u64,
    /// A segment of message bodies takes no further one beyond this size in bytes.
    pub body_segment_bytes: u64,
    /// Size of the file that is given up so that a full disk can be opened and drained.
    pub reserve_bytes: u64,
    /// A group's log is replaced by a snapshot when it has grown by this many bytes.
    pub snapshot_bytes: u64,
    /// It is also replaced when it has this many live entries, whatever their size.
    pub snapshot_entries: u64,
    /// Memory for rows of tables that are being filled, in bytes for all groups together; a quarter
    /// of what the machine has left when that is less.
    pub fill_bytes: u64,
    /// Cache of the tables in bytes.
    pub cache_bytes: u64,
    /// A blob that nobody needs is removed once it has been unused for so many seconds, at least 1.
    pub blob_idle_secs: u64,
    /// Where the tables are.
    pub tables: Tables,
    /// What is counted as it happens.
    pub metrics: StoreMetrics,
    /// Who is told of confirmed commands of the mailbox groups.
    pub on_confirm: ConfirmHook,
    /// A deliberate bug of the log, so that a crash test can show that it would notice.
    pub fault: Option<PlantedFault>,
}

/// Where the tables are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tables {
    /// In sled, below the disk's real root.
    Sled,
    /// In memory (tests and simulation).
    Memory,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            node: crs_types::NodeId(1),
            mailbox_groups: crs_types::limits::MAILBOX_GROUPS,
            min_free_bytes: 256 << 20,
            segment_bytes: 16 << 20,
            body_segment_bytes: 8 << 20,
            reserve_bytes: 32 << 20,
            snapshot_bytes: 64 << 20,
            snapshot_entries: tasks::ENTRIES_MAX,
            fill_bytes: 1 << 30,
            cache_bytes: 32 << 20,
            blob_idle_secs: 60,
            tables: Tables::Sled,
            metrics: StoreMetrics::default(),
            on_confirm: ConfirmHook::default(),
            fault: None,
        }
    }
}

/// Called after something new has been applied; must not block. Duplicate calls are possible
/// after a restart.
pub type ArrivalHook = Arc<dyn Fn(&Arrival) + Send + Sync>;

/// A confirmed command: durable on a majority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed<R> {
    /// What the command did.
    pub reply: R,
    /// On how many nodes it is synced.
    pub copies: u64,
}

/// The store of a node. Cheap to clone; the last handle does not close it, [`Store::close`] does.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    config: StoreConfig,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    wal: Arc<Wal>,
    engine: Arc<dyn Engine>,
    /// By group number, the control group first.
    groups: Vec<Group>,
    /// Woken when a group's outbox got rows.
    outbox: BTreeMap<GroupId, Arc<Notify>>,
    reads: Mutex<BTreeMap<UserKey, Timestamp>>,
    expiry: Mutex<ExpiryClock>,
    pins: blob::Pins,
    free_bytes: AtomicU64,
    rebuilds: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    closing: watch::Sender<bool>,
    failed: watch::Sender<Option<String>>,
    tasks: Mutex<JoinSet<()>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store on `disk` (made when empty), recovers, and returns once everything that
    /// was ever confirmed is readable and commands can be proposed.
    ///
    /// `network` reaches the other voters (`crs_cluster::Unreachable` on a single node).
    pub async fn open<N: RaftNetworkFactory<TypeConfig> + Clone>(
        config: StoreConfig,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        network: N,
        on_arrival: ArrivalHook,
    ) -> Result<Self, OpenError> {
        let outbox: BTreeMap<GroupId, Arc<Notify>> =
            (1..=config.mailbox_groups).map(|g| (GroupId(g), Arc::default())).collect();
        let parts = {
            let (config, disk, clock) = (config.clone(), Arc::clone(&disk), Arc::clone(&clock));
            let wakes = outbox.clone();
            let opening = tokio::task::spawn_blocking(move || {
                let hook = |group| {
                    let metrics = config.metrics.clone();
                    inner::effect_hook(Arc::clone(&on_arrival), wakes.get(&group).cloned(), metrics)
                };
                open::open_parts(&config, &disk, &clock, hook)
            });
            opening
                .await
                .map_err(|e| OpenError::Group { group: GroupId::CONTROL, what: e.to_string() })??
        };
        let mut tasks = JoinSet::new();
        // Whatever keeps trying must end when opening fails or is given up.
        let guard = open::StopUnlessOpened::new(Arc::clone(&parts.stop));
        let groups = open::start_groups(&config, &parts, network, &mut tasks).await?;
        guard.opened();
        let inner = Arc::new(Inner {
            config,
            disk,
            clock,
            wal: parts.wal,
            engine: parts.engine,
            groups,
            outbox,
            reads: Mutex::default(),
            expiry: Mutex::new(parts.expiry),
            pins: blob::Pins::default(),
            free_bytes: AtomicU64::new(u64::MAX),
            rebuilds: parts.rebuilds,
            stop: parts.stop,
            closing: watch::Sender::new(false),
            failed: watch::Sender::new(None),
            tasks: Mutex::default(),
        });
        for group in inner.outbox.keys() {
            tasks.spawn(tasks::pump_outbox(Arc::clone(&inner), *group));
        }
        tasks.spawn(tasks::watch_disk(Arc::clone(&inner)));
        tasks.spawn(tasks::heal(Arc::clone(&inner)));
        tasks.spawn(tasks::keep_up(Arc::clone(&inner)));
        tasks.spawn(tasks::watch_log(Arc::clone(&inner)));
        *inner.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
        Ok(Self { inner })
    }

    /// Closes in order: no new commands, groups down, tables written back, log closed.
    pub async fn close(&self) {
        let inner = &self.inner;
        inner.flush_reads().await;
        // Tables that are nearly filled are of use to the next start, others are filled anew.
        inner.fill_tables().await;
        inner.closing.send_replace(true);
        inner.stop.store(true, Ordering::Release);
        for group in &inner.groups {
            // A group that panicked has stopped as well.
            let _ = group.raft.shutdown().await;
        }
        let mut tasks =
            std::mem::take(&mut *inner.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.abort_all();
        while tasks.join_next().await.is_some() {}
        let (engine, wal) = (Arc::clone(&inner.engine), Arc::clone(&inner.wal));
        let closed = tokio::task::spawn_blocking(move || {
            wal.close();
            engine.close()
        });
        if let Ok(Err(failure)) = closed.await {
            tracing::warn!(%failure, "the tables are not written back; they will be rebuilt");
        }
    }

    /// Turns to `Some(reason)` when the store has failed for good (a sync error, damage): the
    /// node must stop.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.inner.failed.subscribe()
    }

    /// The mailbox group that owns a URI.
    pub fn group_of(&self, uri: &Uri) -> GroupId {
        Slot::of(uri).group(self.inner.config.mailbox_groups)
    }

    /// Number of mailbox groups.
    pub fn mailbox_groups(&self) -> u16 {
        self.inner.config.mailbox_groups
    }

    /// Proposes a command to the control group.
    pub async fn propose_control(
        &self,
        command: ControlCommand,
    ) -> Result<Confirmed<ControlReply>, WriteError> {
        self.inner.admit_control(&command)?;
        let confirmed = self.inner.propose(GroupId::CONTROL, Command::Control(command)).await?;
        match confirmed.reply {
            Reply::Control(reply) => Ok(Confirmed { reply, copies: confirmed.copies }),
            Reply::Mailbox(_) | Reply::WrongGroup => Err(WriteError::NoGroup(GroupId::CONTROL)),
        }
    }

    /// Proposes a command to a mailbox group.
    pub async fn propose_mailbox(
        &self,
        group: GroupId,
        command: MailboxCommand,
    ) -> Result<Confirmed<MailboxReply>, WriteError> {
        if !command.drains() {
            self.inner.admit(command.weight() as u64)?;
        }
        let confirmed = self.inner.propose(group, Command::Mailbox(command)).await?;
        match confirmed.reply {
            Reply::Mailbox(reply) => Ok(Confirmed { reply, copies: confirmed.copies }),
            Reply::Control(_) | Reply::WrongGroup => Err(WriteError::NoGroup(group)),
        }
    }

    /// Acknowledges items; returns how many were removed.
    pub async fn ack(&self, ack: Ack) -> Result<Confirmed<u64>, WriteError> {
        let group = self.group_of(&ack.user.uri);
        let found = ack.n.len() as u64;
        let Confirmed { reply, copies } =
            self.propose_mailbox(group, MailboxCommand::Ack(ack)).await?;
        match reply {
            MailboxReply::Acked { removed, .. } => Ok(Confirmed { reply: removed, copies }),
            MailboxReply::OverLimit { limit } => Err(WriteError::TooLarge { limit, found }),
            MailboxReply::Post(_)
            | MailboxReply::Claim(_)
            | MailboxReply::Receipts { .. }
            | MailboxReply::Removed { .. }
            | MailboxReply::Done { .. } => Err(WriteError::NoGroup(group)),
        }
    }

    /// Notes that a user has looked for messages now; written in batches, so the last second's
    /// notes may be lost in a crash.
    pub fn note_read(&self, user: &UserKey) {
        let now = self.inner.clock.now();
        let mut reads = self.inner.pending_reads();
        if reads.len() < PENDING_READS_MAX || reads.contains_key(user) {
            reads.insert(user.clone(), now);
        }
    }

    /// The control state as applied here. Cheap; take it anew for every decision.
    pub fn control(&self) -> Arc<ControlState> {
        self.inner.control().state.load_full()
    }

    /// Changes whenever the control state does; the value is its version.
    pub fn control_changes(&self) -> watch::Receiver<u64> {
        self.inner.control().changes.subscribe()
    }

    /// The oldest items with a number above `after`: at most `max_items` (and never more than
    /// [`PAGE_ITEMS_MAX`]), up to `max_bytes` of bodies (at least one item).
    pub async fn fetch(
        &self,
        user: &UserKey,
        after: u64,
        max_items: usize,
        max_bytes: u64,
    ) -> Result<Page, ReadError> {
        let key = user.clone();
        let read = move |machine: &_| read::page(machine, &key, after, max_items, max_bytes);
        self.inner.read(self.group_of(&user.uri), read).await
    }

    /// What waits for a user.
    pub async fn waiting(&self, user: &UserKey) -> Result<Waiting, ReadError> {
        let key = user.clone();
        let read = move |machine: &_| read::waiting(machine, &key);
        self.inner.read(self.group_of(&user.uri), read).await
    }

    /// Everything stored about a user but the mailbox: counters, key updates, client info.
    pub async fn user(&self, user: &UserKey) -> Result<UserView, ReadError> {
        let key = user.clone();
        let read = move |machine: &_| read::user(machine, &key);
        self.inner.read(self.group_of(&user.uri), read).await
    }

    /// Counters of all users, sorted by account and URI (`show message`), optionally of one
    /// account.
    pub async fn counters(
        &self,
        account: Option<&AccountId>,
    ) -> Result<Vec<UserCounters>, ReadError> {
        // Taken first: what is written and forgotten meanwhile is then found in the tables.
        let pending = self.inner.pending_reads().clone();
        let mut all = BTreeMap::new();
        for group in self.inner.outbox.keys() {
            let account = account.cloned();
            let groups = self.inner.config.mailbox_groups;
            let read = move |machine: &_| read::user_rows(machine, account.as_ref());
            for row in self.inner.read(*group, read).await? {
                let home = Slot::of(&row.user.uri).group(groups) == *group;
                read::add_counters(&mut all, row, home);
            }
        }
        // What the next batch will write is true already.
        for (user, time) in pending {
            if let Some(line) = all.get_mut(&user) {
                line.read = line.read.max(Some(time));
            }
        }
        Ok(all.into_values().collect())
    }

    /// Stores a blob durably for a command to name it. Repeating it is harmless.
    pub async fn put_blob(&self, bytes: Arc<Vec<u8>>) -> Result<PutBlob, WriteError> {
        // A blob takes space of the disk, but none of the log.
        self.inner.admit(0)?;
        self.inner.space_for(bytes.len() as u64)?;
        let inner = Arc::clone(&self.inner);
        let put =
            tokio::task::spawn_blocking(move || blob::put(&*inner.disk, &inner.pins, &bytes)).await;
        put.unwrap_or(Err(WriteError::Stopped))
    }

    /// Removes files of blobs that no account refers to and no command is about to name; returns
    /// how many. Upkeep does the same to those that it has found unused for a minute.
    pub async fn remove_unreferenced_blobs(&self) -> Result<u64, ReadError> {
        let unused = self.inner.unused_blobs().await?;
        self.inner.remove_blobs(unused).await
    }

    /// A blob's content, checked against its name.
    pub async fn get_blob(&self, hash: BlobHash) -> Result<Vec<u8>, ReadError> {
        let disk = Arc::clone(&self.inner.disk);
        let got = tokio::task::spawn_blocking(move || blob::get(&*disk, hash)).await;
        got.unwrap_or(Err(ReadError::Stopped))
    }

    /// Pieces of a blob, given as (offset, length), without reading the rest of it.
    pub async fn read_blob(
        &self,
        hash: BlobHash,
        pieces: Vec<(u64, usize)>,
    ) -> Result<Vec<Vec<u8>>, ReadError> {
        let disk = Arc::clone(&self.inner.disk);
        let read = move || blob::pieces(&*disk, hash, &pieces);
        tokio::task::spawn_blocking(read).await.unwrap_or(Err(ReadError::Stopped))
    }

    /// Figures for `show system`, `doctor` and metrics.
    pub fn status(&self) -> StoreStatus {
        status::of(&self.inner)
    }

    /// Removes what has fallen due; upkeep does the same every half minute.
    pub async fn expire(&self) {
        self.inner.expire().await;
    }

    /// Empties body segments that hold little; upkeep does the same every ten minutes.
    pub async fn compact(&self) {
        self.inner.compact().await;
    }

    /// Makes a snapshot of a group now and drops the log behind it.
    pub async fn snapshot(&self, group: GroupId) {
        self.inner.snapshot(group).await;
    }
}
