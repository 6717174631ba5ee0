//! The store's own tasks: outbox pump, upkeep. They live as long as the store and are ended by
//! its close.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crs_types::{GroupId, Slot, Timestamp};
use tokio::sync::watch;

use super::{Inner, WriteError};
use crate::command::control::AccountPurged;
use crate::command::mailbox::{
    DropAccount, Expire, NoteRead, OutboxDone, OutboxRow, Receipts, rows,
};
use crate::command::{ControlCommand, MailboxCommand, MailboxReply, UserKey};
use crate::raft::{Command, Machine, Reply, StateError};
use crate::table::{TableError, decode_row};

/// Outbox rows forwarded at a time.
const PUMP_ROWS: usize = 256;
/// Pause after a failed forwarding.
const PUMP_PAUSE: Duration = Duration::from_secs(1);
/// How often upkeep and the watch over the disk look round.
const TICK: Duration = Duration::from_secs(1);
/// Ticks between two looks for what has expired.
const EXPIRE_TICKS: u64 = 30;
/// Ticks between two notes of the time that is believed.
const CLOCK_TICKS: u64 = 60;
/// Tables move back from memory to disk when this much is free.
const TABLES_ROOM: u64 = 8 << 20;
/// Ticks between two looks for body segments that hold little.
const COMPACT_TICKS: u64 = 600;
/// Of every second, the time spent on moving rows of tables that are being filled.
const FILL_TIME: Duration = Duration::from_millis(500);
/// Rows removed by one command.
const REMOVE_ROWS: u32 = 1_000;
/// A snapshot is made when a group has this many live entries, whatever their size: each takes
/// memory for its place in the log.
pub(super) const ENTRIES_MAX: u64 = 50_000;

/// Forwards a group's receipts to the senders' groups, until the store closes.
pub(super) async fn pump_outbox(inner: Arc<Inner>, group: GroupId) {
    let Some(wake) = inner.outbox.get(&group).cloned() else { return };
    let mut closing = inner.closing.subscribe();
    loop {
        let pause = match forward(&inner, group).await {
            Ok(0) => None,
            Ok(_) => continue,
            Err(failure) => {
                tracing::debug!(%group, %failure, "receipts wait");
                Some(PUMP_PAUSE)
            }
        };
        let wait = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => wake.notified().await,
            }
        };
        tokio::select! {
            () = wait => {}
            () = closed(&mut closing) => return,
        }
    }
}

/// Why receipts could not be forwarded.
#[derive(Debug, thiserror::Error)]
enum PumpError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("the store is closing")]
    Closing,
}

/// Forwards the oldest rows; returns how many. Each target gets its rows in order and none is
/// left out before a later one, which is what makes the targets' watermarks right.
async fn forward(inner: &Inner, group: GroupId) -> Result<u64, PumpError> {
    let Some(state) = inner.group(group).map(|g| Arc::clone(&g.state)) else { return Ok(0) };
    let read = tokio::task::spawn_blocking(move || -> Result<Vec<OutboxRow>, TableError> {
        let Machine::Mailbox(machine) = &state.machine else { return Ok(Vec::new()) };
        let found =
            machine.table().range(&rows::outbox_key(0), &rows::after_prefix(b"o"), PUMP_ROWS)?;
        found.iter().map(|(key, value)| decode_row(key, value)).collect()
    });
    let found = read.await.map_err(|_| PumpError::Closing)??;
    let count = found.len() as u64;
    let control = inner.control().state.load_full();
    let seqs: Vec<u64> = found.iter().map(|row| row.seq).collect();
    let mut by_target: BTreeMap<GroupId, Vec<OutboxRow>> = BTreeMap::new();
    for row in found {
        // Nobody waits for the receipts of a deleted account.
        if !control.purging.contains(&row.to.account) {
            let target = Slot::of(&row.to.uri).group(inner.config.mailbox_groups);
            by_target.entry(target).or_default().push(row);
        }
    }
    for (target, items) in by_target {
        let command = MailboxCommand::Receipts(Receipts { origin: group, items });
        inner.propose(target, Command::Mailbox(command)).await?;
    }
    if count > 0 {
        let command = MailboxCommand::OutboxDone(OutboxDone { seqs });
        inner.propose(group, Command::Mailbox(command)).await?;
    }
    Ok(count)
}

/// Looks every second whether the store has failed, how much space the disk has and what time it
/// is, until the store closes. Waits for no group: it must see a full disk while one hangs.
pub(super) async fn watch_disk(inner: Arc<Inner>) {
    let mut ticks = Ticks::of(&inner);
    while let Some(count) = ticks.next().await {
        inner.check_failure();
        inner.measure_disk().await;
        inner.wal.tend();
        let believed = inner.believed_time();
        if count.is_multiple_of(CLOCK_TICKS) {
            inner.note_time(believed).await;
        }
    }
}

/// Heals tables that failed and moves rows of those that are being filled, until the store closes.
pub(super) async fn heal(inner: Arc<Inner>) {
    let mut ticks = Ticks::of(&inner);
    while ticks.next().await.is_some() {
        inner.heal_tables().await;
        inner.fill_tables().await;
    }
}

/// Looks after snapshots, expiry, deleted accounts, old update files and batched notes, until the
/// store closes. Each may wait for a quorum or take minutes.
pub(super) async fn keep_up(inner: Arc<Inner>) {
    let mut ticks = Ticks::of(&inner);
    let mut unused = BTreeSet::new();
    while let Some(count) = ticks.next().await {
        inner.flush_reads().await;
        inner.snapshot_where_due().await;
        if count.is_multiple_of(EXPIRE_TICKS) {
            inner.expire().await;
        }
        if count % COMPACT_TICKS == COMPACT_TICKS - 1 {
            inner.compact().await;
        }
        inner.purge_accounts().await;
        if count.is_multiple_of(inner.config.blob_idle_secs.max(1)) {
            unused = inner.tend_blobs(unused).await;
        }
    }
}

/// Comes round every second until the store closes.
struct Ticks {
    interval: tokio::time::Interval,
    closing: watch::Receiver<bool>,
    count: u64,
}

impl Ticks {
    fn of(inner: &Inner) -> Self {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Self { interval, closing: inner.closing.subscribe(), count: 0 }
    }

    /// How many came before; `None` when the store closes.
    async fn next(&mut self) -> Option<u64> {
        tokio::select! {
            _ = self.interval.tick() => {
                self.count += 1;
                Some(self.count - 1)
            }
            () = closed(&mut self.closing) => None,
        }
    }
}

/// Passes a failure of the log on at once, until the store closes.
pub(super) async fn watch_log(inner: Arc<Inner>) {
    let mut closing = inner.closing.subscribe();
    let mut failed = inner.wal.failed();
    tokio::select! {
        reason = failed.wait_for(Option::is_some) => {
            let reason = reason.map(|reason| reason.clone().unwrap_or_default());
            inner.fail(&reason.unwrap_or_else(|_| "the log is gone".to_owned()));
        }
        () = closed(&mut closing) => {}
    }
}

async fn closed(closing: &mut watch::Receiver<bool>) {
    // A closed channel means that the store is gone, which is closing too.
    let _ = closing.wait_for(|closing| *closing).await;
}

impl Inner {
    /// A group that has stopped by itself stops the store: it never limps.
    fn check_failure(&self) {
        let of_log = self.wal.failed().borrow().clone();
        let of_group = self.groups.iter().find_map(|group| {
            let metrics = group.raft.metrics();
            let state = metrics.borrow().running_state.clone();
            state.err().map(|fatal| format!("group {}: {fatal}", group.id))
        });
        if let Some(reason) = of_log.or(of_group) {
            self.fail(&reason);
        }
    }

    async fn measure_disk(&self) {
        let disk = Arc::clone(&self.disk);
        let measured = tokio::task::spawn_blocking(move || disk.free_bytes()).await;
        if let Ok(Ok(free)) = measured {
            self.free_bytes.store(free, Ordering::Release);
        }
    }

    async fn heal_tables(&self) {
        let free = self.free_bytes.load(Ordering::Acquire);
        if self.engine.displaced() && free >= self.config.min_free_bytes.max(TABLES_ROOM) {
            self.engine.replace();
            self.groups.iter().for_each(|g| g.state.broken.store(true, Ordering::Release));
        }
        for group in &self.groups {
            if !group.state.broken.load(Ordering::Acquire) {
                continue;
            }
            let state = Arc::clone(&group.state);
            let healed = tokio::task::spawn_blocking(move || state.heal()).await;
            if let Ok(Err(failure)) = healed {
                tracing::warn!(group = %group.id, %failure, "tables are not healed yet");
                group.state.broken.store(true, Ordering::Release);
            }
        }
    }

    /// Moves rows of tables that are being filled, one group after the other.
    pub(super) async fn fill_tables(&self) {
        for group in &self.groups {
            let (state, clock) = (Arc::clone(&group.state), Arc::clone(&self.clock));
            let filling =
                tokio::task::spawn_blocking(move || state.fill_tables(FILL_TIME, &*clock));
            // The time is used up, or the tables have to heal first.
            if !filling.await.unwrap_or(false) {
                return;
            }
        }
        let engine = Arc::clone(&self.engine);
        match tokio::task::spawn_blocking(move || engine.settle()).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => tracing::debug!(%failure, "the tables are marked as whole later"),
            Err(panicked) => tracing::debug!(%panicked, "the tables are not marked as whole"),
        }
    }

    /// Empties body segments that hold little.
    pub(super) async fn compact(&self) {
        for group in &self.groups {
            let state = Arc::clone(&group.state);
            let compacting = tokio::task::spawn_blocking(move || state.compact());
            match compacting.await {
                Ok(Ok(())) => {}
                Ok(Err(StateError::Snapshot(failure))) => {
                    // A sync that failed is final.
                    self.fail(&format!("body segments of group {}: {failure}", group.id));
                }
                Ok(Err(failure)) => {
                    tracing::warn!(group = %group.id, %failure, "body segments are not emptied now");
                }
                Err(panicked) => self.fail(&format!("body segments: {panicked}")),
            }
        }
    }

    /// Writes the last second's "has looked for messages" notes.
    pub(super) async fn flush_reads(&self) {
        let mut by_group: BTreeMap<GroupId, Vec<_>> = BTreeMap::new();
        for (user, time) in self.pending_reads().iter() {
            let group = Slot::of(&user.uri).group(self.config.mailbox_groups);
            by_group.entry(group).or_default().push((user.clone(), *time));
        }
        for (group, reads) in by_group {
            for part in reads.chunks(super::READS_PER_ENTRY) {
                let note = MailboxCommand::NoteRead(NoteRead { reads: part.to_vec() });
                if let Err(failure) = self.propose(group, Command::Mailbox(note)).await {
                    tracing::debug!(%group, %failure, "read times are not noted");
                }
                self.forget_reads(part);
            }
        }
    }

    /// Only now, so that a time is always to be seen: among the pending ones or in the table. A
    /// newer time of the same user stays.
    fn forget_reads(&self, written: &[(UserKey, Timestamp)]) {
        let mut pending = self.pending_reads();
        for (user, time) in written {
            if pending.get(user) == Some(time) {
                pending.remove(user);
            }
        }
    }

    async fn snapshot_where_due(&self) {
        let over = self.wal.status().total_bytes > self.config.snapshot_bytes.saturating_mul(2);
        let holding = if over { self.wal.holding_oldest() } else { Vec::new() };
        for group in &self.groups {
            let (entries, bytes) = group.wal.live();
            let last = group.state.current().map_or(0, |(_, file)| file.length);
            // A large mailbox is not written anew for every little bit of log.
            let due = bytes > self.config.snapshot_bytes.max(last)
                || entries > self.config.snapshot_entries
                || holding.contains(&group.id);
            if due && entries > 1 {
                self.snapshot(group.id).await;
            }
        }
    }

    /// Makes a snapshot of a group and lets Raft purge the log behind it.
    pub(super) async fn snapshot(&self, id: GroupId) {
        let Some(group) = self.group(id) else { return };
        let state = Arc::clone(&group.state);
        let metrics = group.raft.metrics().borrow().clone();
        let (known, applied) = (metrics.snapshot, metrics.last_applied);
        if let Some(covered) = applied.filter(|applied| known == Some(*applied)) {
            // Made before a crash, which kept the log from being purged. Raft takes no second
            // snapshot of the same.
            if let Err(fatal) = group.raft.trigger().purge_log(covered.index).await {
                self.fail(&format!("group {id}: {fatal}"));
            }
            return;
        }
        match tokio::task::spawn_blocking(move || state.prepare_snapshot()).await {
            Ok(Ok(_)) => {
                if let Err(fatal) = group.raft.trigger().snapshot().await {
                    self.fail(&format!("group {id}: {fatal}"));
                }
            }
            Ok(Err(failure)) if failure.passes() => {
                tracing::warn!(group = %id, %failure, "no snapshot now; trying again later");
            }
            Ok(Err(failure)) => self.fail(&format!("snapshot of group {id}: {failure}")),
            Err(panicked) => self.fail(&format!("snapshot of group {id}: {panicked}")),
        }
    }

    /// The time by which messages expire; looked at every second, so that jumps are seen.
    fn believed_time(&self) -> Timestamp {
        let (wall, mono) = (self.clock.now(), self.clock.mono());
        self.expiry.lock().unwrap_or_else(PoisonError::into_inner).look(wall, mono)
    }

    /// Notes it for the next start.
    pub(super) async fn note_time(&self, believed: Timestamp) {
        let disk = Arc::clone(&self.disk);
        let noting = tokio::task::spawn_blocking(move || super::expiry::note(&*disk, believed));
        if let Ok(Err(failure)) = noting.await {
            tracing::debug!(%failure, "the time is not noted");
        }
    }

    pub(super) async fn expire(&self) {
        let now = self.believed_time();
        for group in self.groups.iter().filter(|group| group.id != GroupId::CONTROL) {
            while self.due(group, now).await {
                let expire = MailboxCommand::Expire(Expire { now, limit: REMOVE_ROWS });
                if !self.removes_more(group.id, expire).await {
                    break;
                }
            }
        }
    }

    /// True when something has expired, so that idle groups write nothing.
    async fn due(&self, group: &super::group::Group, now: Timestamp) -> bool {
        let state = Arc::clone(&group.state);
        let found = tokio::task::spawn_blocking(move || match &state.machine {
            Machine::Control(_) => Ok(false),
            Machine::Mailbox(machine) => {
                let table = machine.table();
                let due = table.range(b"x", &rows::due_key(now, &[]), 1)?;
                Ok::<_, TableError>(!due.is_empty())
            }
        });
        matches!(found.await, Ok(Ok(true)))
    }

    async fn removes_more(&self, group: GroupId, command: MailboxCommand) -> bool {
        match self.propose(group, Command::Mailbox(command)).await {
            Ok(confirmed) => {
                matches!(confirmed.reply, Reply::Mailbox(MailboxReply::Removed { more: true, .. }))
            }
            Err(failure) => {
                tracing::debug!(%group, %failure, "nothing is removed now");
                false
            }
        }
    }

    /// Removes the blobs that were unused at the last look and still are: until then somebody may
    /// be reading the old file of an account. Returns those that are unused now.
    async fn tend_blobs(self: &Arc<Self>, before: BTreeSet<String>) -> BTreeSet<String> {
        let tending = async {
            let unused = self.unused_blobs().await?;
            let (old, new) = unused.into_iter().partition(|name| before.contains(name));
            self.remove_blobs(old).await.map(|_| new)
        };
        tending.await.unwrap_or_else(|failure: super::ReadError| {
            tracing::warn!(%failure, "old update files are not removed now");
            before
        })
    }

    /// Drops the mailboxes of deleted accounts in all groups, then forgets the accounts.
    async fn purge_accounts(&self) {
        let purging = self.control().state.load_full().purging.clone();
        for account in purging {
            if self.drop_account(&account).await {
                let done = ControlCommand::AccountPurged(AccountPurged { id: account });
                if let Err(failure) = self.propose(GroupId::CONTROL, Command::Control(done)).await {
                    tracing::debug!(%failure, "a deleted account is forgotten later");
                }
            }
        }
    }

    async fn drop_account(&self, account: &crs_types::AccountId) -> bool {
        for group in self.groups.iter().filter(|group| group.id != GroupId::CONTROL) {
            loop {
                let drop = DropAccount { account: account.clone(), limit: REMOVE_ROWS };
                let command = Command::Mailbox(MailboxCommand::DropAccount(drop));
                match self.propose(group.id, command).await {
                    Ok(confirmed) => match confirmed.reply {
                        Reply::Mailbox(MailboxReply::Removed { more: true, .. }) => {}
                        Reply::Mailbox(_) | Reply::Control(_) | Reply::WrongGroup => break,
                    },
                    Err(failure) => {
                        tracing::debug!(group = %group.id, %failure, "mailboxes are dropped later");
                        return false;
                    }
                }
            }
        }
        true
    }
}
