//! Opening a store: meta file, log, tables, groups, in this order.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crs_types::disk::Disk;
use crs_types::envelope::{self, Version};
use crs_types::{Clock, GroupId};
use openraft::impls::EmptyNode;
use openraft::{Config, Raft, RaftNetworkFactory, SnapshotPolicy};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::expiry::{self, ExpiryClock};
use super::group::{Group, Job, QUEUE_MAX, batch_commands};
use super::{OpenError, StoreConfig, Tables};
use crate::body::Bodies;
use crate::kv::SledEngine;
use crate::raft::{
    ControlMachine, EffectHook, GroupState, LogStore, Machine, MailboxMachine, StateError,
    StateMachine, TypeConfig,
};
use crate::table::Engine;
use crate::table::memory::MemoryEngine;
use crate::wal::{Wal, WalConfig, WalError};

const META: &str = "store.meta";
const VERSION: Version = Version(1);
/// How long a group may take to elect its leader and replay its log.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// Chosen when the store is made, and never changed.
#[derive(Debug, Serialize, Deserialize)]
struct Meta {
    node: u64,
    mailbox_groups: u16,
}

/// Everything below the groups, opened on a blocking thread.
pub(super) struct Parts {
    pub(super) wal: Arc<Wal>,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) states: Vec<Arc<GroupState>>,
    pub(super) rebuilds: Arc<AtomicU64>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) expiry: ExpiryClock,
}

/// Tells everything that keeps trying to stop, unless the store was opened.
pub(super) struct StopUnlessOpened(Option<Arc<AtomicBool>>);

impl StopUnlessOpened {
    pub(super) fn new(stop: Arc<AtomicBool>) -> Self {
        Self(Some(stop))
    }

    pub(super) fn opened(mut self) {
        self.0 = None;
    }
}

impl Drop for StopUnlessOpened {
    fn drop(&mut self) {
        if let Some(stop) = &self.0 {
            stop.store(true, Ordering::Release);
        }
    }
}

/// Opens all that blocks. `hooks` gives each group's effect hook.
pub(super) fn open_parts(
    config: &StoreConfig,
    disk: &Arc<dyn Disk>,
    clock: &Arc<dyn Clock>,
    mut hooks: impl FnMut(GroupId) -> EffectHook,
) -> Result<Parts, OpenError> {
    let fresh = check_meta(config, &**disk)?;
    let expiry = expiry::open(&**disk, clock, fresh);
    let wal_config = WalConfig {
        segment_bytes: config.segment_bytes,
        reserve_bytes: config.reserve_bytes,
        sync_seconds: config.metrics.sync_seconds.clone(),
        sync_writes: config.metrics.sync_writes.clone(),
        fault: config.fault,
        ..WalConfig::default()
    };
    let wal = Wal::open(Arc::clone(disk), Arc::clone(clock), &wal_config)?;
    let engine = open_engine(config, &**disk)?;
    let trusted = !engine.suspect();
    let rebuilds = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let groups = (0..=config.mailbox_groups).map(|group| (GroupId(group), hooks(GroupId(group))));
    let open = |(group, hook)| {
        let machine = open_machine(group, config, disk, &engine, &wal)?;
        let state = GroupState::open(
            group,
            machine,
            trusted,
            Arc::clone(disk),
            wal.group(group),
            Arc::clone(&rebuilds),
            Arc::clone(&stop),
            hook,
        )?;
        Ok(Arc::new(state))
    };
    let states = at_once(groups.collect(), &open)?;
    Ok(Parts { wal: Arc::new(wal), engine, states, rebuilds, stop, expiry })
}

fn open_machine(
    group: GroupId,
    config: &StoreConfig,
    disk: &Arc<dyn Disk>,
    engine: &Arc<dyn Engine>,
    wal: &Wal,
) -> Result<Machine, OpenError> {
    if group == GroupId::CONTROL {
        return Ok(Machine::Control(ControlMachine::new()));
    }
    let bodies = Bodies::open(Arc::clone(disk), group, config.body_segment_bytes);
    let bodies = bodies.map_err(|e| io(&format!("bodies/{group}"), e))?;
    let (name, engine) = (format!("mailbox-{group}"), Arc::clone(engine));
    let fill_bytes = fill_bytes(config);
    Ok(Machine::Mailbox(Box::new(MailboxMachine::open(
        name,
        engine,
        bodies,
        wal.group(group),
        fill_bytes,
    )?)))
}

/// One group's share of the memory for tables that are being filled.
fn fill_bytes(config: &StoreConfig) -> usize {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let quarter = kilobytes.map_or(u64::MAX, |left| left.saturating_mul(1_024 / 4));
    let share = config.fill_bytes.min(quarter) / u64::from(config.mailbox_groups).max(1);
    usize::try_from(share).unwrap_or(usize::MAX)
}

/// Does the same with every item, as many at once as there are processors, in order of the items.
fn at_once<T: Send, R: Send>(
    items: Vec<T>,
    work: &(impl Fn(T) -> Result<R, OpenError> + Sync),
) -> Result<Vec<R>, OpenError> {
    let width = std::thread::available_parallelism().map_or(1, usize::from);
    let mut items = items.into_iter().peekable();
    let mut done = Vec::new();
    while items.peek().is_some() {
        let results = std::thread::scope(|scope| {
            let threads: Vec<_> =
                items.by_ref().take(width).map(|item| scope.spawn(move || work(item))).collect();
            threads.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
        });
        for result in results {
            let panicked = |_| io("store", std::io::Error::other("opening a group panicked"));
            done.push(result.map_err(panicked)??);
        }
    }
    Ok(done)
}

/// Starts Raft and the batcher of every group, and waits until each has applied its whole log.
pub(super) async fn start_groups<N: RaftNetworkFactory<TypeConfig> + Clone>(
    config: &StoreConfig,
    parts: &Parts,
    network: N,
    tasks: &mut JoinSet<()>,
) -> Result<Vec<Group>, OpenError> {
    let mut starting = JoinSet::new();
    let node = config.node.0;
    for state in &parts.states {
        let start = start_group(node, Arc::clone(state), Arc::clone(&parts.wal), network.clone());
        starting.spawn(async move {
            let (group, jobs) = start.await?;
            lead(&group, node).await?;
            Ok::<_, OpenError>((group, jobs))
        });
    }
    let mut groups = Vec::new();
    while let Some(started) = starting.join_next().await {
        let panicked = |e: tokio::task::JoinError| OpenError::Group {
            group: GroupId::CONTROL,
            what: e.to_string(),
        };
        let (group, jobs) = started.map_err(panicked)??;
        let (sizes, told) = (config.metrics.entry_commands.clone(), config.on_confirm.clone());
        let (raft, wal) = (group.raft.clone(), Arc::clone(&parts.wal));
        tasks.spawn(batch_commands(group.id, raft, wal, jobs, (sizes, told)));
        groups.push(group);
    }
    groups.sort_by_key(|group| group.id);
    Ok(groups)
}

/// Starts a group's Raft, which replays its log.
async fn start_group<N: RaftNetworkFactory<TypeConfig>>(
    node: u64,
    state: Arc<GroupState>,
    wal: Arc<Wal>,
    network: N,
) -> Result<(Group, mpsc::Receiver<Job>), OpenError> {
    let id = state.group;
    let wal = wal.group(id);
    let (log, machine) = (LogStore::new(wal.clone()), StateMachine::new(Arc::clone(&state)));
    let raft = Raft::new(node, Arc::new(raft_config(id)?), network, log, machine).await;
    let raft = raft.map_err(|e| OpenError::Group { group: id, what: e.to_string() })?;
    let (queue, jobs) = mpsc::channel(QUEUE_MAX);
    let group = Group { id, raft, state, wal, queue, refused: AtomicU64::new(0) };
    Ok((group, jobs))
}

/// Initialises the group when it is new, and makes a lone voter its leader without waiting for
/// the election timeout.
async fn lead(group: &Group, node: u64) -> Result<(), OpenError> {
    let failed = |what: String| OpenError::Group { group: group.id, what };
    let initialised = group.raft.is_initialized().await.map_err(|e| failed(e.to_string()))?;
    if !initialised {
        let members = BTreeMap::from([(node, EmptyNode {})]);
        group.raft.initialize(members).await.map_err(|e| failed(e.to_string()))?;
    } else {
        group.raft.trigger().elect().await.map_err(|e| failed(e.to_string()))?;
    }
    settled(group).await
}

/// Waits until the group has a leader and has applied its log.
async fn settled(group: &Group) -> Result<(), OpenError> {
    let failed = |what: String| OpenError::Group { group: group.id, what };
    let wait = group.raft.wait(Some(START_TIMEOUT));
    let ready = wait.metrics(
        |metrics| {
            let applied = metrics.last_applied.map(|id| id.index);
            let leads = metrics.current_leader.is_some();
            let ready = leads && applied.is_some() && applied >= metrics.last_log_index;
            ready || metrics.running_state.is_err()
        },
        "a leader that has applied its log",
    );
    let metrics = ready.await.map_err(|e| failed(e.to_string()))?;
    metrics.running_state.map_err(|fatal| failed(fatal.to_string()))
}

fn raft_config(group: GroupId) -> Result<Config, OpenError> {
    let config = Config {
        cluster_name: format!("crs-{group}"),
        heartbeat_interval: 250,
        election_timeout_min: 1_000,
        election_timeout_max: 2_000,
        install_snapshot_timeout: 60_000,
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        purge_batch_size: 1,
        ..Config::default()
    };
    config.validate().map_err(|e| OpenError::Group { group, what: e.to_string() })
}

fn open_engine(config: &StoreConfig, disk: &dyn Disk) -> Result<Arc<dyn Engine>, OpenError> {
    match (config.tables, disk.real_root()) {
        (Tables::Sled, Some(root)) => {
            Ok(Arc::new(SledEngine::open(&root.join("tables"), config.cache_bytes)?))
        }
        (Tables::Memory, _) | (Tables::Sled, None) => Ok(Arc::new(MemoryEngine::default())),
    }
}

/// True when the store was made just now.
fn check_meta(config: &StoreConfig, disk: &dyn Disk) -> Result<bool, OpenError> {
    let path = Path::new(META);
    match disk.read(path) {
        Ok(bytes) => {
            let meta: Meta = envelope::decode(VERSION, &bytes, 1024).map_err(|e| {
                OpenError::Damaged { file: META.to_owned(), offset: 0, what: e.to_string() }
            })?;
            if meta.mailbox_groups != config.mailbox_groups {
                let (stored, configured) = (meta.mailbox_groups, config.mailbox_groups);
                return Err(OpenError::Groups { stored, configured });
            }
            if meta.node != config.node.0 {
                return Err(OpenError::Node { stored: meta.node, configured: config.node.0 });
            }
            Ok(false)
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            make_meta(config, disk).map(|()| true)
        }
        Err(e) => Err(io(META, e)),
    }
}

fn make_meta(config: &StoreConfig, disk: &dyn Disk) -> Result<(), OpenError> {
    // A log without its meta file is not a fresh directory: something was removed.
    if disk.list(Path::new("wal")).is_ok_and(|names| names.iter().any(|n| n.ends_with(".wal"))) {
        let what = "the file is missing though there is a log".to_owned();
        return Err(OpenError::Damaged { file: META.to_owned(), offset: 0, what });
    }
    let meta = Meta { node: config.node.0, mailbox_groups: config.mailbox_groups };
    let bytes = envelope::encode(VERSION, &meta)
        .map_err(|e| io(META, std::io::Error::other(e.to_string())))?;
    let temp = Path::new("store.meta.tmp");
    let write = || {
        disk.create_dir(Path::new("."))?;
        let file = disk.open(temp, true)?;
        file.write_at(0, &bytes)?;
        file.sync()?;
        disk.rename(temp, Path::new(META))?;
        disk.sync_dir(Path::new(""))
    };
    write().map_err(|e| io(META, e))
}

fn io(path: &str, source: std::io::Error) -> OpenError {
    OpenError::Io { path: path.to_owned(), source }
}

impl From<WalError> for OpenError {
    fn from(error: WalError) -> Self {
        match error {
            WalError::Damaged { file, offset, what } => Self::Damaged { file, offset, what },
            WalError::Io { path, what } => io(&path, std::io::Error::other(what)),
            WalError::Stopped(what) => io("wal", std::io::Error::other(what)),
        }
    }
}

impl From<StateError> for OpenError {
    fn from(error: StateError) -> Self {
        use crate::raft::snapshot::SnapshotError;
        match error {
            StateError::Table(error) => Self::Tables(error),
            StateError::Snapshot(SnapshotError::Io { path, source }) => io(&path, source),
            StateError::Snapshot(SnapshotError::Damaged { path, offset, what }) => {
                Self::Damaged { file: path, offset, what }
            }
            StateError::Wal(error) => error.into(),
            StateError::Entry(error) => io("wal", std::io::Error::other(error.to_string())),
            StateError::Gap { .. } => io("wal", std::io::Error::other(error.to_string())),
            StateError::Interrupted => io("snapshot", std::io::Error::other(error.to_string())),
            StateError::Closing => io("store", std::io::Error::other("closing")),
        }
    }
}

#[cfg(test)]
mod tests;
