//! Handles to the log: one for the node, one per group.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crs_types::disk::{Disk, DiskFile};
use crs_types::{Clock, GroupId};
use tokio::sync::{mpsc, oneshot, watch};

use super::index::{Entry, Group, Latest, LogMark};
use super::recover::{self, Recovered};
use super::segment::{self, RESERVE};
use super::writer::{Op, PlantedFault, Task, Writer};
use super::{WalError, record};

/// How the log is kept.
#[derive(Debug, Clone)]
pub struct WalConfig {
    /// Size of a segment in bytes.
    pub segment_bytes: u64,
    /// Size of the reserve file in bytes.
    pub reserve_bytes: u64,
    /// Bytes of newest entries kept in memory per group.
    pub cache_bytes: usize,
    /// Duration of each sync.
    pub sync_seconds: metrics::Histogram,
    /// Writes that share one sync.
    pub sync_writes: metrics::Histogram,
    /// A deliberate bug, so that a test can show that it would notice. Never set otherwise.
    pub fault: Option<PlantedFault>,
}

impl Default for WalConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
            reserve_bytes: 32 << 20,
            cache_bytes: 8 << 20,
            sync_seconds: metrics::Histogram::noop(),
            sync_writes: metrics::Histogram::noop(),
            fault: None,
        }
    }
}

/// Operations that may wait for the writer; callers wait for a place when it is full.
pub(super) const QUEUE: usize = 1_024;

/// Called once the record is durable, or will never be.
pub type Done = Box<dyn FnOnce(Result<(), WalError>) + Send>;

/// An entry: its mark and its bytes.
pub type LogEntry = (LogMark, Arc<[u8]>);

/// The log of a node. [`Wal::close`] ends its thread; dropping all handles does too.
pub struct Wal {
    shared: Arc<Shared>,
    tasks: mpsc::Sender<Task>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Figures and switches shared with the writer.
pub(super) struct Shared {
    pub(super) groups: Mutex<BTreeMap<u16, Group>>,
    pub(super) files: Mutex<BTreeMap<u64, Arc<dyn DiskFile>>>,
    pub(super) failed: watch::Sender<Option<String>>,
    /// Bytes that can be written before another segment is needed.
    pub(super) headroom: AtomicU64,
    pub(super) segment_bytes: u64,
    pub(super) total_bytes: AtomicU64,
    pub(super) reserve_held: AtomicBool,
    pub(super) syncs: AtomicU64,
    pub(super) last_sync_millis: AtomicU64,
    pub(super) last_sync_micros: AtomicU64,
    pub(super) torn_tails: u64,
    pub(super) cache_bytes: usize,
    pub(super) stop: AtomicBool,
}

/// Figures of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalStatus {
    /// Bytes of all segments.
    pub total_bytes: u64,
    /// Bytes that can be written before another segment is needed.
    pub headroom: u64,
    /// False while the reserve file is given up.
    pub reserve_held: bool,
    /// Syncs since the start.
    pub syncs: u64,
    /// Wall-clock time of the last sync in milliseconds, 0 before the first.
    pub last_sync_millis: u64,
    /// Its duration in microseconds.
    pub last_sync_micros: u64,
    /// Torn tails cut at the start.
    pub torn_tails: u64,
}

impl Shared {
    pub(super) fn groups(&self) -> MutexGuard<'_, BTreeMap<u16, Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn files(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<dyn DiskFile>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn failure(&self) -> Option<WalError> {
        self.failed.borrow().clone().map(WalError::Stopped)
    }
}

impl Wal {
    /// Opens the log (made when there is none) and starts its thread. Blocks on the disk.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        config: &WalConfig,
    ) -> Result<Self, WalError> {
        let found = recover::recover(&*disk)?;
        let reserve_held = hold_reserve(&*disk, config.reserve_bytes);
        let total: u64 = found.segments.iter().map(|segment| segment.size).sum();
        let files = found.segments.iter().map(|s| (s.number, Arc::clone(&s.file))).collect();
        let Recovered { groups, segments, last_seq, torn } = found;
        let shared = Arc::new(Shared {
            groups: Mutex::new(groups),
            files: Mutex::new(files),
            failed: watch::Sender::new(None),
            headroom: AtomicU64::new(0),
            segment_bytes: config.segment_bytes,
            total_bytes: AtomicU64::new(total),
            reserve_held: AtomicBool::new(reserve_held),
            syncs: AtomicU64::new(0),
            last_sync_millis: AtomicU64::new(0),
            last_sync_micros: AtomicU64::new(0),
            torn_tails: u64::from(torn),
            cache_bytes: config.cache_bytes,
            stop: AtomicBool::new(false),
        });
        let (tasks, inbox) = mpsc::channel(QUEUE);
        let mut writer =
            Writer::new(disk, clock, config.clone(), Arc::clone(&shared), segments, last_seq);
        writer.prepare()?;
        let thread = std::thread::Builder::new()
            .name("crs-wal".to_owned())
            .spawn(move || writer.run(inbox))
            .map_err(|e| WalError::io(Path::new("thread crs-wal"), &e))?;
        Ok(Self { shared, tasks, thread: Mutex::new(Some(thread)) })
    }

    /// The log of one group.
    pub fn group(&self, group: GroupId) -> GroupWal {
        GroupWal { group: group.0, shared: Arc::clone(&self.shared), tasks: self.tasks.clone() }
    }

    /// Turns to the reason when the log has failed for good.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.shared.failed.subscribe()
    }

    /// True when `bytes` more (and everything that may be under way) fit without a new segment.
    /// `drain` is for what frees space: it may use the last of it.
    pub fn has_room(&self, bytes: u64, drain: bool) -> bool {
        let kept = self.shared.segment_bytes / if drain { 8 } else { 2 };
        let held = drain || self.shared.reserve_held.load(Ordering::Acquire);
        held && self.shared.headroom.load(Ordering::Acquire) >= kept + bytes
    }

    /// Groups whose live entries keep the oldest segment from being dropped.
    pub fn holding_oldest(&self) -> Vec<GroupId> {
        let oldest = self.shared.files().keys().next().copied();
        let groups = self.shared.groups();
        let holding = groups.iter().filter(|(_, group)| group.oldest_segment() == oldest);
        holding.map(|(id, _)| GroupId(*id)).collect()
    }

    /// Figures.
    pub fn status(&self) -> WalStatus {
        let get = |value: &AtomicU64| value.load(Ordering::Relaxed);
        WalStatus {
            total_bytes: get(&self.shared.total_bytes),
            headroom: get(&self.shared.headroom),
            reserve_held: self.shared.reserve_held.load(Ordering::Relaxed),
            syncs: get(&self.shared.syncs),
            last_sync_millis: get(&self.shared.last_sync_millis),
            last_sync_micros: get(&self.shared.last_sync_micros),
            torn_tails: self.shared.torn_tails,
        }
    }

    /// Asks the writer to look after spare segment and reserve file (space may have come back).
    pub fn tend(&self) {
        // A full queue means that the writer is at work and looks after them anyway.
        let _ = self.tasks.try_send(Task::Tend);
    }

    /// Writes what is queued, then ends the thread. Blocks.
    pub fn close(&self) {
        if let Some(thread) = self.end() {
            // A panic in the thread has been reported through `failed` already.
            let _ = thread.join();
        }
    }

    /// Asks the thread to end, once.
    fn end(&self) -> Option<JoinHandle<()>> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        self.shared.stop.store(true, Ordering::Release);
        // When the queue is full the writer sees the switch after its next batch.
        let _ = self.tasks.try_send(Task::Close);
        Some(thread)
    }
}

impl Drop for Wal {
    /// The thread is not waited for: the last handle may go on an async thread, which a disk that
    /// stalls must not keep.
    fn drop(&mut self) {
        drop(self.end());
    }
}

/// The log of one group. Cheap to clone; calls that change it must come one after another.
#[derive(Clone)]
pub struct GroupWal {
    group: u16,
    shared: Arc<Shared>,
    tasks: mpsc::Sender<Task>,
}

impl GroupWal {
    /// Makes entries readable at once and durable soon; `done` is called when they are.
    pub async fn append(&self, entries: Vec<LogEntry>, done: Done) {
        {
            let mut groups = self.shared.groups();
            let group = groups.entry(self.group).or_default();
            for (mark, bytes) in &entries {
                let length = bytes.len();
                let bytes = Some(Arc::clone(bytes));
                group.push(Entry { mark: *mark, length, place: None, bytes });
            }
        }
        self.send(Op::Append(entries), Some(done)).await;
    }

    /// Makes the vote durable.
    pub async fn save_vote(&self, vote: Vec<u8>) -> Result<(), WalError> {
        let bytes: Arc<[u8]> = vote.into();
        let latest = Some(Latest { bytes: Arc::clone(&bytes), segment: None });
        self.shared.groups().entry(self.group).or_default().vote = latest;
        self.durable(Op::Vote(bytes)).await
    }

    /// Notes what is committed; durable with the next sync, whenever that is.
    pub async fn save_committed(&self, committed: Vec<u8>) {
        let bytes: Arc<[u8]> = committed.into();
        let latest = Some(Latest { bytes: Arc::clone(&bytes), segment: None });
        self.shared.groups().entry(self.group).or_default().committed = latest;
        self.send(Op::Committed(bytes), None).await;
    }

    /// Voids entries from `from` on, durably.
    pub async fn truncate(&self, from: LogMark) -> Result<(), WalError> {
        self.shared.groups().entry(self.group).or_default().truncate(from.index);
        self.durable(Op::Truncate(from)).await
    }

    /// Drops entries up to `upto`, durably; segments that hold nothing live go with them.
    pub async fn purge(&self, upto: LogMark) -> Result<(), WalError> {
        self.shared.groups().entry(self.group).or_default().purge(upto, None);
        self.durable(Op::Purge(upto)).await
    }

    /// The vote last saved.
    pub fn vote(&self) -> Option<Arc<[u8]>> {
        self.with(|group| group.vote.as_ref().map(|latest| Arc::clone(&latest.bytes)))
    }

    /// What was last noted as committed.
    pub fn committed(&self) -> Option<Arc<[u8]>> {
        self.with(|group| group.committed.as_ref().map(|latest| Arc::clone(&latest.bytes)))
    }

    /// The last purged mark and the last mark of all.
    pub fn ends(&self) -> (Option<LogMark>, Option<LogMark>) {
        self.with(|group| (group.purged.map(|(mark, _)| mark), group.last()))
    }

    /// Number and bytes of live entries.
    pub fn live(&self) -> (u64, u64) {
        self.with(|group| (group.entries.len() as u64, group.live_bytes))
    }

    /// The live entries of a range, up to `max_bytes` (at least one).
    pub async fn read(
        &self,
        range: Range<u64>,
        max_bytes: usize,
    ) -> Result<Vec<LogEntry>, WalError> {
        let entries = self.wanted(range, max_bytes);
        if entries.iter().all(|entry| entry.bytes.is_some()) {
            let ready = entries.into_iter().filter_map(|e| e.bytes.map(|bytes| (e.mark, bytes)));
            return Ok(ready.collect());
        }
        let this = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            entries.into_iter().map(|entry| this.read_entry(entry)).collect()
        });
        read.await.unwrap_or_else(|e| Err(WalError::Stopped(e.to_string())))
    }

    /// Like [`GroupWal::read`], for callers that may block.
    pub fn read_blocking(
        &self,
        range: Range<u64>,
        max_bytes: usize,
    ) -> Result<Vec<LogEntry>, WalError> {
        let entries = self.wanted(range, max_bytes);
        entries.into_iter().map(|entry| self.read_entry(entry)).collect()
    }

    fn wanted(&self, range: Range<u64>, max_bytes: usize) -> Vec<Entry> {
        if range.start >= range.end {
            return Vec::new();
        }
        self.with(|group| {
            let mut total = 0;
            let live = group.entries.range(range).map(|(_, entry)| entry);
            let fits = live.take_while(|entry| {
                let first = total == 0;
                total += entry.length.max(1);
                first || total <= max_bytes
            });
            fits.cloned().collect()
        })
    }

    fn read_entry(&self, entry: Entry) -> Result<LogEntry, WalError> {
        if let Some(bytes) = entry.bytes {
            return Ok((entry.mark, bytes));
        }
        let gone = |what: &str| WalError::Stopped(format!("entry {}: {what}", entry.mark.index));
        let place = entry.place.ok_or_else(|| gone("neither written nor in memory"))?;
        let file = self.shared.files().get(&place.segment).cloned();
        let file = file.ok_or_else(|| gone("its segment is gone"))?;
        let path = segment::path(place.segment);
        // The whole record is read, so that its checksum can be checked.
        let head = (record::HEADER + 24) as u64;
        let mut bytes = vec![0; record::stored_len(place.length as usize + 24)];
        let start = place.offset - head;
        file.read_at(start, &mut bytes).map_err(|e| WalError::io(&path, &e))?;
        let payload = record::decode(&bytes).ok().and_then(|found| found.payload.get(24..));
        match payload {
            Some(payload) => Ok((entry.mark, payload.into())),
            None => Err(WalError::Damaged {
                file: path.display().to_string(),
                offset: start,
                what: "a record that was intact at the start no longer is".to_owned(),
            }),
        }
    }

    fn with<T>(&self, f: impl FnOnce(&Group) -> T) -> T {
        f(self.shared.groups().entry(self.group).or_default())
    }

    async fn durable(&self, op: Op) -> Result<(), WalError> {
        let (tx, rx) = oneshot::channel();
        // The receiver only goes when its future is dropped; then nobody wants the answer.
        let done: Done = Box::new(move |result| drop(tx.send(result)));
        self.send(op, Some(done)).await;
        rx.await.unwrap_or_else(|_| Err(WalError::Stopped("the writer is gone".to_owned())))
    }

    async fn send(&self, op: Op, done: Option<Done>) {
        let task = Task::Write { group: self.group, op, done };
        if let Err(refused) = self.tasks.send(task).await
            && let Task::Write { done: Some(done), .. } = refused.0
        {
            done(Err(WalError::Stopped("the log is closed".to_owned())));
        }
    }
}

/// Makes the reserve file; without room the node still opens, and refuses posts.
pub(super) fn hold_reserve(disk: &dyn Disk, bytes: u64) -> bool {
    let path = Path::new(RESERVE);
    let made = disk.open(path, true).and_then(|file| {
        if file.len()? != bytes {
            file.reserve(bytes)?;
        }
        Ok(())
    });
    if made.is_err() {
        // A part of the reserve would only take space from what needs it.
        let _ = disk.remove(path);
    }
    made.is_ok()
}
