//! A group's state: machine, what is applied, the current snapshot; and how it heals.
//!
//! Log plus snapshot is the truth. When the tables fail (a full disk, damage), they are emptied
//! and rebuilt from both, and applying goes on; nothing is acknowledged meanwhile. All methods
//! block on the disk and are called from blocking threads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crs_types::disk::Disk;
use crs_types::{Clock, GroupId};
use openraft::{Entry, EntryPayload, LogId, StoredMembership};

use super::control_state::ControlMachine;
use super::log_store::decode_entry;
use super::mailbox_state::{Applied, MailboxMachine};
use super::snapshot::{self, Meta, SnapshotError, SnapshotFile, SnapshotReader, SnapshotWriter};
use super::state_error::StateError;
use super::types::{Command, Replies, TypeConfig};
use crate::command::mailbox::Effects;
use crate::table::TableError;
use crate::wal::GroupWal;

/// Pause before failed tables are tried again.
const PAUSE: Duration = Duration::from_millis(250);
/// Failed attempts after which a disk that is not full is given up: the node stops.
const ATTEMPTS: u32 = 20;
/// With less than this free, failures are put down to the full disk and patience has no end.
const NEARLY_FULL: u64 = 32 << 20;
/// Body segments of a group that are emptied in one go.
const COMPACTED_AT_ONCE: usize = 16;
/// Entries of the log replayed at a time.
const REPLAY_BYTES: usize = 4 << 20;

/// What is kept of a group.
pub(crate) enum Machine {
    /// Group 0.
    Control(ControlMachine),
    /// A mailbox group.
    Mailbox(Box<MailboxMachine>),
}

/// Called after commands have been applied.
pub(crate) type EffectHook = Box<dyn Fn(&Effects) + Send + Sync>;

/// A group's state, shared by Raft, readers and maintenance.
pub(crate) struct GroupState {
    pub(crate) group: GroupId,
    pub(crate) machine: Machine,
    disk: Arc<dyn Disk>,
    wal: GroupWal,
    applied: Mutex<Applied>,
    current: Mutex<Option<(Meta, SnapshotFile)>>,
    /// Held while a snapshot is written, and while one is read to make the tables anew: neither may
    /// remove or replace what the other is at. Taken after `applied`, never before it.
    files: Mutex<()>,
    /// A snapshot that was just made for Raft to take over.
    ready: Mutex<Option<(Meta, SnapshotFile)>>,
    pub(crate) broken: AtomicBool,
    pub(crate) rebuilds: Arc<AtomicU64>,
    pub(crate) stop: Arc<AtomicBool>,
    hook: EffectHook,
}

impl GroupState {
    /// Opens a group's state from the tables when they can be trusted, else from the snapshot.
    #[allow(clippy::too_many_arguments, reason = "called in one place, with everything it joins")]
    pub(crate) fn open(
        group: GroupId,
        machine: Machine,
        trusted: bool,
        disk: Arc<dyn Disk>,
        wal: GroupWal,
        rebuilds: Arc<AtomicU64>,
        stop: Arc<AtomicBool>,
        hook: EffectHook,
    ) -> Result<Self, StateError> {
        let this = Self {
            group,
            machine,
            disk,
            wal,
            applied: Mutex::default(),
            current: Mutex::default(),
            files: Mutex::default(),
            ready: Mutex::default(),
            broken: AtomicBool::new(false),
            rebuilds,
            stop,
            hook,
        };
        let reader = this.newest_snapshot()?;
        *this.lock_current() = reader.as_ref().map(|r| (r.meta.clone(), r.file()));
        let covered = reader.as_ref().and_then(|reader| reader.meta.last_log_id);
        match this.usable_tables(trusted, covered) {
            Some(applied) => *this.lock_applied() = applied,
            None => this.load_snapshot(reader)?,
        }
        Ok(this)
    }

    /// What is applied.
    pub(crate) fn applied(&self) -> Applied {
        self.lock_applied().clone()
    }

    /// The current snapshot.
    pub(crate) fn current(&self) -> Option<(Meta, SnapshotFile)> {
        self.lock_current().clone()
    }

    /// Applies committed entries. Tries again until it succeeds or the store closes.
    pub(crate) fn apply(&self, entries: &[Entry<TypeConfig>]) -> Result<Vec<Replies>, StateError> {
        let mut applied = self.lock_applied();
        let target = advanced(&applied, entries);
        let batches: Vec<(u64, &[Command])> = entries.iter().map(commands).collect();
        let mut attempts = 0;
        let replies = loop {
            attempts += 1;
            match self.apply_once(&batches, &target) {
                Ok((replies, effects)) => {
                    (self.hook)(&effects);
                    break replies;
                }
                Err(failure) => self.recover(&failure, &applied, &mut attempts)?,
            }
        };
        *applied = target;
        Ok(replies.into_iter().map(Replies).collect())
    }

    /// Rebuilds tables that failed a reader, so that they heal without waiting for a write.
    pub(crate) fn heal(&self) -> Result<(), StateError> {
        let applied = self.lock_applied();
        let broken = self.broken.swap(false, Ordering::AcqRel);
        if broken && matches!(self.machine, Machine::Mailbox(_)) {
            self.rebuild(&applied)?;
        }
        Ok(())
    }

    /// Empties body segments that hold little, a bounded number of them; posts wait for a few
    /// milliseconds at a time.
    pub(crate) fn compact(&self) -> Result<(), StateError> {
        let Machine::Mailbox(machine) = &self.machine else { return Ok(()) };
        for segment in machine.sparse_segments()?.into_iter().take(COMPACTED_AT_ONCE) {
            loop {
                // Nothing may be applied between looking at a body and moving it.
                let _applied = self.lock_applied();
                if self.stop.load(Ordering::Acquire) || machine.empty_segment(segment)? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Makes a snapshot and keeps it for Raft to take over. Made here and not when Raft asks,
    /// because to Raft a snapshot that fails, be it for a full disk, is the end.
    pub(crate) fn prepare_snapshot(&self) -> Result<(), StateError> {
        let made = self.make_snapshot()?;
        *self.ready.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
        Ok(())
    }

    /// Makes a snapshot of what is applied.
    pub(crate) fn make_snapshot(&self) -> Result<(Meta, SnapshotFile), StateError> {
        match &self.machine {
            Machine::Control(machine) => {
                let (files, applied, rows) = {
                    let applied = self.lock_applied();
                    (self.lock_files(), applied.clone(), machine.to_rows()?)
                };
                let mut rows = Some(rows);
                let made = self.write_snapshot(&applied, || Ok(rows.take().unwrap_or_default()));
                self.publish(&files, made?)
            }
            Machine::Mailbox(machine) => {
                let (files, applied) = {
                    // The lock keeps an apply from coming between the state and its mark.
                    let applied = self.lock_applied();
                    let files = self.lock_files();
                    machine.settle_bodies()?;
                    machine.begin_view()?;
                    (files, applied.clone())
                };
                let next = || machine.next_view()?.ok_or(StateError::Interrupted);
                let made = self.write_snapshot(&applied, next).and_then(|made| {
                    machine.bodies.sync().map_err(SnapshotError::bodies)?;
                    Ok(made)
                });
                machine.end_view();
                self.publish(&files, made?)
            }
        }
    }

    /// Gives a written snapshot its name.
    fn publish(
        &self,
        _files: &MutexGuard<'_, ()>,
        made: SnapshotWriter,
    ) -> Result<(Meta, SnapshotFile), StateError> {
        let (meta, file) = made.finish()?;
        *self.lock_current() = Some((meta.clone(), file.clone()));
        Ok((meta, file))
    }

    /// The snapshot that [`GroupState::prepare_snapshot`] has made, once.
    pub(crate) fn take_ready(&self) -> Option<(Meta, SnapshotFile)> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Where a snapshot that is being received goes.
    pub(crate) fn receiving(&self) -> SnapshotFile {
        let path = snapshot::dir(self.group).join("receiving.tmp");
        SnapshotFile { disk: Arc::clone(&self.disk), path, length: 0 }
    }

    /// Replaces everything by a received snapshot file.
    pub(crate) fn install(&self, meta: &Meta, file: &SnapshotFile) -> Result<(), StateError> {
        let mut applied = self.lock_applied();
        let _files = self.take_files();
        // Once it is in place, a crash at any later step finds tables that are behind it and
        // fills them again.
        let file = snapshot::adopt(&self.disk, self.group, file)?;
        let reader = SnapshotReader::open(&self.disk, self.group, &file.path)?;
        let fresh = (meta.last_log_id, meta.last_membership.clone());
        self.fill(reader, &fresh)?;
        *applied = fresh;
        *self.lock_current() = Some((meta.clone(), file));
        Ok(())
    }

    fn apply_once(
        &self,
        batches: &[(u64, &[Command])],
        target: &Applied,
    ) -> Result<(Vec<Vec<super::types::Reply>>, Effects), TableError> {
        match &self.machine {
            Machine::Control(machine) => Ok((machine.apply(batches), Effects::default())),
            Machine::Mailbox(machine) => machine.apply(batches, target),
        }
    }

    /// After a failure: waits for space, or rebuilds the tables. An error when the store closes
    /// or the failure is not the disk's fullness and does not go away.
    fn recover(
        &self,
        failure: &TableError,
        applied: &Applied,
        attempts: &mut u32,
    ) -> Result<(), StateError> {
        tracing::warn!(group = %self.group, %failure, "tables failed; pausing");
        self.pause()?;
        if matches!(failure, TableError::DiskFull(_)) {
            return Ok(());
        }
        loop {
            let full = self.disk.free_bytes().is_ok_and(|free| free < NEARLY_FULL);
            if !full && *attempts > ATTEMPTS {
                return Err(failure.clone().into());
            }
            match self.rebuild(applied) {
                Ok(()) => return Ok(()),
                Err(StateError::Table(failure)) => {
                    *attempts += 1;
                    tracing::warn!(group = %self.group, %failure, "tables cannot be rebuilt yet");
                    self.pause()?;
                }
                Err(other) => return Err(other),
            }
        }
    }

    fn pause(&self) -> Result<(), StateError> {
        if self.stop.load(Ordering::Acquire) {
            return Err(StateError::Closing);
        }
        std::thread::sleep(PAUSE);
        Ok(())
    }

    /// Empties the tables and brings them back to `applied` from snapshot and log.
    fn rebuild(&self, applied: &Applied) -> Result<(), StateError> {
        self.rebuilds.fetch_add(1, Ordering::Relaxed);
        let _files = self.take_files();
        let reader = self.newest_snapshot()?;
        let mut now: Applied = match reader {
            Some(reader) => {
                let covered = (reader.meta.last_log_id, reader.meta.last_membership.clone());
                self.fill(reader, &covered)?;
                covered
            }
            None => {
                self.clear()?;
                Applied::default()
            }
        };
        let end = applied.0.map_or(0, |id| id.index + 1);
        loop {
            let start = now.0.map_or(0, |id| id.index + 1);
            let page = self.wal.read_blocking(start..end, REPLAY_BYTES)?;
            if page.is_empty() {
                break;
            }
            let entries = page.iter().map(|(mark, bytes)| decode_entry(*mark, bytes));
            let entries = entries.collect::<Result<Vec<_>, _>>()?;
            follows(start, entries.first())?;
            let batches: Vec<(u64, &[Command])> = entries.iter().map(commands).collect();
            now = advanced(&now, &entries);
            self.apply_once(&batches, &now)?;
        }
        let reached = now.0.map_or(0, |id| id.index + 1);
        if reached < end {
            // Tables that lack something must not pass for whole.
            follows(reached, None)?;
        }
        tracing::info!(group = %self.group, "tables rebuilt from snapshot and log");
        Ok(())
    }

    fn usable_tables(&self, trusted: bool, covered: Option<LogId<u64>>) -> Option<Applied> {
        let Machine::Mailbox(machine) = &self.machine else { return None };
        let applied = machine.applied().ok().flatten()?;
        // Tables behind the snapshot lack entries that the log may not have any more.
        (trusted && applied.0 >= covered).then_some(applied)
    }

    fn load_snapshot(&self, reader: Option<SnapshotReader>) -> Result<(), StateError> {
        let applied = match reader {
            Some(reader) => {
                let covered = (reader.meta.last_log_id, reader.meta.last_membership.clone());
                self.fill(reader, &covered)?;
                if matches!(self.machine, Machine::Mailbox(_)) {
                    self.rebuilds.fetch_add(1, Ordering::Relaxed);
                }
                covered
            }
            None => {
                self.clear()?;
                Applied::default()
            }
        };
        *self.lock_applied() = applied;
        Ok(())
    }

    fn fill(&self, reader: SnapshotReader, applied: &Applied) -> Result<(), StateError> {
        match &self.machine {
            Machine::Control(machine) => {
                let mut reader = reader;
                while let Some(rows) = reader.next()? {
                    machine.load(&rows)?;
                }
                Ok(())
            }
            Machine::Mailbox(machine) => machine.install(applied, reader),
        }
    }

    fn clear(&self) -> Result<(), StateError> {
        match &self.machine {
            Machine::Control(_) => Ok(()),
            Machine::Mailbox(machine) => Ok(machine.clear()?),
        }
    }

    /// Moves rows of tables that are being filled, for about `at_most`; true when none are left.
    pub(crate) fn fill_tables(&self, at_most: Duration, clock: &dyn Clock) -> bool {
        let Machine::Mailbox(machine) = &self.machine else { return true };
        let end = clock.mono().plus(at_most);
        loop {
            match machine.fill_step() {
                Ok(true) => return true,
                Ok(false) if clock.mono() < end && !self.stop.load(Ordering::Acquire) => {}
                Ok(false) => return false,
                Err(failure) => {
                    tracing::warn!(group = %self.group, %failure, "filling the tables failed");
                    self.broken.store(true, Ordering::Release);
                    return false;
                }
            }
        }
    }

    fn newest_snapshot(&self) -> Result<Option<SnapshotReader>, StateError> {
        let path = snapshot::newest(&*self.disk, self.group)?;
        let reader =
            path.map(|path| SnapshotReader::open(&self.disk, self.group, &path)).transpose()?;
        Ok(reader)
    }

    fn write_snapshot(
        &self,
        applied: &Applied,
        mut next: impl FnMut() -> Result<crate::table::Rows, StateError>,
    ) -> Result<SnapshotWriter, StateError> {
        let index = applied.0.map_or(0, |id| id.index);
        let meta = Meta {
            last_log_id: applied.0,
            last_membership: applied.1.clone(),
            snapshot_id: format!("{}-{index}", self.group),
        };
        let mut writer = SnapshotWriter::create(Arc::clone(&self.disk), self.group, meta)?;
        let mut copy = || -> Result<(), StateError> {
            loop {
                let rows = next()?;
                if rows.is_empty() {
                    return Ok(());
                }
                writer.rows(rows)?;
            }
        };
        match copy() {
            Ok(()) => Ok(writer),
            Err(failure) => {
                writer.abandon();
                Err(failure)
            }
        }
    }

    /// For making the tables anew, with `applied` held: a snapshot that is being taken is given up,
    /// for what it shows is about to go. One that waits for `applied` has not begun.
    fn take_files(&self) -> MutexGuard<'_, ()> {
        if let Machine::Mailbox(machine) = &self.machine {
            machine.end_view();
        }
        self.lock_files()
    }

    fn lock_files(&self) -> MutexGuard<'_, ()> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_applied(&self) -> MutexGuard<'_, Applied> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_current(&self) -> MutexGuard<'_, Option<(Meta, SnapshotFile)>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks that a page of the log begins where it should: it never skips what is still needed.
fn follows(expected: u64, first: Option<&Entry<TypeConfig>>) -> Result<(), StateError> {
    let found = first.map(|entry| entry.log_id.index);
    if found == Some(expected) { Ok(()) } else { Err(StateError::Gap { expected, found }) }
}

/// The commands of an entry, with its index.
fn commands(entry: &Entry<TypeConfig>) -> (u64, &[Command]) {
    let commands: &[Command] = match &entry.payload {
        EntryPayload::Normal(batch) => &batch.0,
        EntryPayload::Blank | EntryPayload::Membership(_) => &[],
    };
    (entry.log_id.index, commands)
}

/// What is applied after these entries.
fn advanced(applied: &Applied, entries: &[Entry<TypeConfig>]) -> Applied {
    let mut next = applied.clone();
    for entry in entries {
        next.0 = Some(entry.log_id);
        if let EntryPayload::Membership(membership) = &entry.payload {
            next.1 = StoredMembership::new(Some(entry.log_id), membership.clone());
        }
    }
    next
}
