//! The one thread that writes and syncs the log.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crs_types::Clock;
use crs_types::disk::{Disk, DiskFile};
use tokio::sync::mpsc;

use super::handle::{Done, Shared, WalConfig, hold_reserve};
use super::index::{LogMark, Place};
use super::record::{self, HEADER, Kind};
use super::recover::Segment;
use super::segment::{self, DIR, RESERVE, START};
use super::{WalError, is_full};

/// Most operations that share one sync.
pub(super) const BATCH_OPS: usize = 512;
/// A batch takes no further operation beyond this many bytes.
pub(super) const BATCH_BYTES: usize = 8 << 20;
/// Pause before space for a segment is looked for again.
const FULL_PAUSE: Duration = Duration::from_millis(200);

/// A deliberate bug, to show that the crash tests notice it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlantedFault {
    /// Acknowledge without syncing.
    SkipSync,
    /// Acknowledge, then sync.
    AckBeforeSync,
}

/// What the writer is asked to do.
pub(super) enum Task {
    Write { group: u16, op: Op, done: Option<Done> },
    Tend,
    Close,
}

/// A change of one group's log.
pub(super) enum Op {
    Vote(Arc<[u8]>),
    Append(Vec<(LogMark, Arc<[u8]>)>),
    Truncate(LogMark),
    Purge(LogMark),
    Committed(Arc<[u8]>),
}

pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    config: WalConfig,
    shared: Arc<Shared>,
    current: Option<Open>,
    spares: VecDeque<Open>,
    next_number: u64,
    seq: u64,
    /// Every record up to here is durable.
    durable: u64,
    /// Records encoded and not yet written; they go to `current` at its end.
    buffer: Vec<u8>,
    /// True when something was written since the last sync.
    unsynced: bool,
}

/// A segment open for writing.
struct Open {
    number: u64,
    file: Arc<dyn DiskFile>,
    size: u64,
    end: u64,
}

impl Open {
    fn free(&self) -> u64 {
        self.size.saturating_sub(self.end)
    }
}

impl Writer {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        config: WalConfig,
        shared: Arc<Shared>,
        segments: Vec<Segment>,
        last_seq: u64,
    ) -> Self {
        let next_number = segments.last().map_or(1, |segment| segment.number + 1);
        let last_used = segments.iter().rposition(|segment| segment.end > START).unwrap_or(0);
        let mut open = segments.into_iter().skip(last_used).map(|segment| Open {
            number: segment.number,
            file: segment.file,
            size: segment.size,
            end: segment.end,
        });
        let current = open.next();
        let spares = open.collect();
        Self {
            disk,
            clock,
            config,
            shared,
            current,
            spares,
            next_number,
            seq: last_seq,
            durable: last_seq,
            buffer: Vec::new(),
            unsynced: false,
        }
    }

    /// Makes the first segment where there is none, and a spare where there is room.
    pub(super) fn prepare(&mut self) -> Result<(), WalError> {
        if let Some(current) = &self.current {
            // What was read back may still lie in memory only; records to come call it durable.
            current.file.sync().map_err(|e| WalError::io(&segment::path(current.number), &e))?;
        } else {
            let path = segment::path(self.next_number);
            let made = self.new_segment(self.config.segment_bytes);
            self.current = Some(made.map_err(|e| WalError::io(&path, &e))?);
        }
        self.tend();
        Ok(())
    }

    pub(super) fn run(mut self, mut inbox: mpsc::Receiver<Task>) {
        let mut waiting: Vec<Option<Done>> = Vec::new();
        loop {
            let Some(task) = inbox.blocking_recv() else { break };
            let mut bytes = weight(&task);
            let mut batch = vec![task];
            while batch.len() < BATCH_OPS
                && bytes < BATCH_BYTES
                && let Ok(task) = inbox.try_recv()
            {
                bytes += weight(&task);
                batch.push(task);
            }
            let close = self.batch(batch, &mut waiting);
            if close || (self.shared.stop.load(Ordering::Acquire) && inbox.is_empty()) {
                break;
            }
        }
        inbox.close();
        while let Ok(task) = inbox.try_recv() {
            if let Task::Write { done: Some(done), .. } = task {
                done(Err(WalError::Stopped("the log is closed".to_owned())));
            }
        }
    }

    /// Writes a batch, syncs once, tells everybody. True when asked to close.
    fn batch(&mut self, tasks: Vec<Task>, waiting: &mut Vec<Option<Done>>) -> bool {
        let mut close = false;
        let mut purged = false;
        let mut failure = self.shared.failure();
        for task in tasks {
            match task {
                Task::Close => close = true,
                Task::Tend => self.tend(),
                Task::Write { group, op, done } => {
                    purged |= matches!(op, Op::Purge(_));
                    if failure.is_none() {
                        failure = self.write_op(group, &op).err();
                    }
                    waiting.push(done);
                }
            }
        }
        let wanted = close || waiting.iter().any(Option::is_some);
        if failure.is_none() && wanted {
            self.config.sync_writes.record(waiting.len() as f64);
            failure = self.finish(waiting).err();
        }
        if failure.is_none() && purged {
            failure = self.drop_segments().err();
        }
        if let Some(failure) = &failure {
            self.fail(failure);
        }
        for done in waiting.drain(..).flatten() {
            done(failure.clone().map_or(Ok(()), Err));
        }
        if failure.is_none() {
            self.tend();
        }
        close
    }

    /// Flushes and syncs, in the order that the planted bugs change.
    fn finish(&mut self, waiting: &mut Vec<Option<Done>>) -> Result<(), WalError> {
        self.flush()?;
        match self.config.fault {
            None => self.sync(),
            Some(PlantedFault::SkipSync) => {
                self.durable = self.seq;
                Ok(())
            }
            Some(PlantedFault::AckBeforeSync) => {
                for done in waiting.drain(..).flatten() {
                    done(Ok(()));
                }
                self.sync()
            }
        }
    }

    fn write_op(&mut self, group: u16, op: &Op) -> Result<(), WalError> {
        match op {
            Op::Vote(bytes) => {
                let place = self.record(group, Kind::Vote, &[bytes])?;
                self.note(group, |g| {
                    if let Some(vote) = g.vote.as_mut().filter(|vote| vote.bytes == *bytes) {
                        vote.segment = Some(place.segment);
                    }
                });
            }
            Op::Committed(bytes) => {
                let place = self.record(group, Kind::Committed, &[bytes])?;
                self.note(group, |g| {
                    if let Some(latest) = g.committed.as_mut().filter(|l| l.bytes == *bytes) {
                        latest.segment = Some(place.segment);
                    }
                });
            }
            Op::Truncate(from) => {
                self.record(group, Kind::Truncate, &[&from.to_bytes()])?;
            }
            Op::Purge(upto) => {
                let place = self.record(group, Kind::Purge, &[&upto.to_bytes()])?;
                self.note(group, |g| {
                    if let Some((mark, segment)) = &mut g.purged
                        && *mark == *upto
                    {
                        *segment = Some(place.segment);
                    }
                });
            }
            Op::Append(entries) => {
                for (mark, bytes) in entries {
                    let place = self.record(group, Kind::Append, &[&mark.to_bytes(), bytes])?;
                    let place =
                        Place { offset: place.offset + 24, length: bytes.len() as u32, ..place };
                    self.note(group, |g| g.placed(*mark, place));
                }
            }
        }
        Ok(())
    }

    fn note(&self, group: u16, f: impl FnOnce(&mut super::index::Group)) {
        f(self.shared.groups().entry(group).or_default());
    }

    /// Encodes a record behind those already in the buffer; returns where its payload will lie.
    fn record(&mut self, group: u16, kind: Kind, parts: &[&[u8]]) -> Result<Place, WalError> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let stored = record::stored_len(length) as u64;
        let free = self.current.as_ref().map_or(0, Open::free);
        if free < self.buffer.len() as u64 + stored {
            self.roll(stored)?;
        }
        let current = self.current.as_ref().ok_or_else(no_segment)?;
        let offset = current.end + self.buffer.len() as u64 + HEADER as u64;
        let place = Place { segment: current.number, offset, length: length as u32 };
        self.seq += 1;
        record::encode(&mut self.buffer, self.seq, self.durable, group, kind, parts);
        Ok(place)
    }

    /// Goes on in the next segment. What is in the old one is synced first, so that a record in
    /// a later segment always proves that the earlier ones are whole.
    fn roll(&mut self, needed: u64) -> Result<(), WalError> {
        self.flush()?;
        if self.config.fault != Some(PlantedFault::SkipSync) {
            self.sync()?;
        }
        let fits = self.spares.front().is_some_and(|spare| spare.free() >= needed);
        let next = if fits { self.spares.pop_front() } else { None };
        self.current = Some(match next {
            Some(next) => next,
            None => self.wait_for_segment(needed)?,
        });
        Ok(())
    }

    /// Only reached when the disk is full beyond all that admission foresees: waits for space,
    /// acknowledging nothing meanwhile.
    fn wait_for_segment(&mut self, needed: u64) -> Result<Open, WalError> {
        self.spares.clear();
        let size = self.config.segment_bytes.max(START + needed);
        loop {
            match self.new_segment(size) {
                Ok(made) => return Ok(made),
                Err(e) if is_full(&e) => self.release_reserve(),
                Err(e) => return Err(WalError::io(&segment::path(self.next_number), &e)),
            }
            if let Ok(made) = self.new_segment(size) {
                return Ok(made);
            }
            if self.shared.stop.load(Ordering::Acquire) {
                return Err(WalError::Stopped("closed while the disk was full".to_owned()));
            }
            std::thread::sleep(FULL_PAUSE);
        }
    }

    fn flush(&mut self) -> Result<(), WalError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let current = self.current.as_mut().ok_or_else(no_segment)?;
        let path = segment::path(current.number);
        current.file.write_at(current.end, &self.buffer).map_err(|e| WalError::io(&path, &e))?;
        current.end += self.buffer.len() as u64;
        self.buffer.clear();
        self.unsynced = true;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), WalError> {
        if !self.unsynced {
            return Ok(());
        }
        let current = self.current.as_ref().ok_or_else(no_segment)?;
        let started = self.clock.mono();
        current.file.sync().map_err(|e| WalError::io(&segment::path(current.number), &e))?;
        self.unsynced = false;
        self.durable = self.seq;
        let took = self.clock.mono().since(started);
        self.config.sync_seconds.record(took.as_secs_f64());
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.shared.last_sync_micros.store(micros, Ordering::Relaxed);
        self.shared.last_sync_millis.store(self.clock.now().as_millis(), Ordering::Relaxed);
        self.shared.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Drops the oldest segments as long as nothing in them is live. Small records that still
    /// count are written again at the end first.
    fn drop_segments(&mut self) -> Result<(), WalError> {
        loop {
            let oldest = self.shared.files().keys().next().copied();
            let current = self.current.as_ref().map(|current| current.number);
            let Some(oldest) = oldest.filter(|oldest| current.is_some_and(|c| *oldest < c)) else {
                return Ok(());
            };
            let remnants = {
                let groups = self.shared.groups();
                if groups.values().any(|group| group.oldest_segment() == Some(oldest)) {
                    return Ok(());
                }
                remnants(&groups, oldest)
            };
            for (group, op) in remnants {
                self.write_op(group, &op)?;
            }
            self.flush()?;
            self.sync()?;
            let path = segment::path(oldest);
            let file = self.shared.files().remove(&oldest);
            let size = file.map_or(0, |file| file.len().unwrap_or(0));
            self.disk.remove(&path).map_err(|e| WalError::io(&path, &e))?;
            self.disk.sync_dir(Path::new(DIR)).map_err(|e| WalError::io(Path::new(DIR), &e))?;
            self.shared.total_bytes.fetch_sub(size, Ordering::Relaxed);
        }
    }

    /// Keeps one spare segment ready and the reserve file in place, as far as the disk has room.
    fn tend(&mut self) {
        if self.spares.is_empty() {
            let size = self.config.segment_bytes;
            let made = self.new_segment(size).or_else(|e| {
                let low = self.current.as_ref().map_or(0, Open::free) < size / 2;
                if !is_full(&e) || !low {
                    return Err(e);
                }
                self.release_reserve();
                self.new_segment(size)
            });
            self.spares.extend(made.ok());
        }
        let held = self.shared.reserve_held.load(Ordering::Acquire);
        if !held && !self.spares.is_empty() {
            let held = hold_reserve(&*self.disk, self.config.reserve_bytes);
            self.shared.reserve_held.store(held, Ordering::Release);
        }
        let spare: u64 = self.spares.iter().map(Open::free).sum();
        let headroom = self.current.as_ref().map_or(0, Open::free) + spare;
        self.shared.headroom.store(headroom, Ordering::Release);
        let limit = self.shared.cache_bytes;
        self.shared.groups().values_mut().for_each(|group| group.evict(limit));
    }

    fn release_reserve(&mut self) {
        if self.shared.reserve_held.swap(false, Ordering::AcqRel) {
            tracing::warn!("the disk is full: the log's reserve is given up");
            // Nothing is lost when it cannot be removed; the next attempt tells.
            let _ = self.disk.remove(Path::new(RESERVE));
        }
    }

    fn new_segment(&mut self, size: u64) -> io::Result<Open> {
        let number = self.next_number;
        let file = segment::create(&*self.disk, number, size)?;
        self.next_number += 1;
        self.shared.files().insert(number, Arc::clone(&file));
        self.shared.total_bytes.fetch_add(size, Ordering::Relaxed);
        Ok(Open { number, file, size, end: START })
    }

    fn fail(&self, failure: &WalError) {
        let first = self.shared.failed.send_if_modified(|failed| {
            let first = failed.is_none();
            failed.get_or_insert_with(|| failure.to_string());
            first
        });
        if first {
            tracing::error!(%failure, "the log has failed; the node must stop");
        }
    }
}

/// The newest vote, purge and committed marks that lie in segments up to `oldest`.
fn remnants(
    groups: &std::collections::BTreeMap<u16, super::index::Group>,
    oldest: u64,
) -> Vec<(u16, Op)> {
    let old = |segment: Option<u64>| segment.is_some_and(|segment| segment <= oldest);
    let mut ops = Vec::new();
    for (id, group) in groups {
        if let Some(vote) = group.vote.as_ref().filter(|vote| old(vote.segment)) {
            ops.push((*id, Op::Vote(Arc::clone(&vote.bytes))));
        }
        if let Some((mark, _)) = group.purged.filter(|(_, segment)| old(*segment)) {
            ops.push((*id, Op::Purge(mark)));
        }
        if let Some(latest) = group.committed.as_ref().filter(|latest| old(latest.segment)) {
            ops.push((*id, Op::Committed(Arc::clone(&latest.bytes))));
        }
    }
    ops
}

fn weight(task: &Task) -> usize {
    match task {
        Task::Write { op: Op::Append(entries), .. } => {
            entries.iter().map(|(_, bytes)| HEADER + bytes.len()).sum()
        }
        Task::Write { .. } | Task::Tend | Task::Close => HEADER,
    }
}

fn no_segment() -> WalError {
    WalError::Stopped("no segment is open".to_owned())
}
