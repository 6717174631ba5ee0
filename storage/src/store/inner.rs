//! What the handle's methods are made of: admission, proposing, reading, failing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use crs_types::{GroupId, Timestamp};
use tokio::sync::Notify;

use super::group::Group;
use super::{ArrivalHook, COMMAND_MAX, Confirmed, Inner, ReadError, WriteError, blob};
use crate::command::mailbox::Effects;
use crate::command::{ControlCommand, UserKey};
use crate::raft::{Command, ControlMachine, EffectHook, Machine, Reply};
use crate::table::TableError;

impl Inner {
    pub(super) fn group(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(usize::from(id.0))
    }

    pub(super) fn control(&self) -> &ControlMachine {
        match self.groups.first().map(|group| &group.state.machine) {
            Some(Machine::Control(machine)) => machine,
            Some(Machine::Mailbox(_)) | None => unreachable!("the first group is always control"),
        }
    }

    pub(super) fn pending_reads(&self) -> MutexGuard<'_, BTreeMap<UserKey, Timestamp>> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses by name, before anything is proposed, what the disk has no room for.
    pub(super) fn admit(&self, bytes: u64) -> Result<(), WriteError> {
        self.space_for(0)?;
        if !self.wal.has_room(bytes, false) {
            return Err(WriteError::DiskFull("no further log segment".to_owned()));
        }
        Ok(())
    }

    pub(super) fn space_for(&self, bytes: u64) -> Result<(), WriteError> {
        let (free, least) = (self.free_bytes.load(Ordering::Acquire), self.config.min_free_bytes);
        if free >= least.saturating_add(bytes) {
            return Ok(());
        }
        Err(WriteError::DiskFull(format!("{free} bytes free, {least} are kept free")))
    }

    pub(super) fn admit_control(&self, command: &ControlCommand) -> Result<(), WriteError> {
        match command {
            // What takes away, and what keeps somebody out, works on a full disk too.
            ControlCommand::DeleteAccount(_)
            | ControlCommand::AccountPurged(_)
            | ControlCommand::BlacklistAdd(_)
            | ControlCommand::BlacklistRemove(_)
            | ControlCommand::BlacklistChange(_) => Ok(()),
            ControlCommand::CreateAccount(_)
            | ControlCommand::SetAccountSecret(_)
            | ControlCommand::ApplyUpdate(_)
            | ControlCommand::SetPoolIdentity(_)
            | ControlCommand::PutNode(_)
            | ControlCommand::PutSetting(_) => self.admit(COMMAND_MAX as u64),
        }
    }

    pub(super) async fn propose(
        &self,
        group: GroupId,
        command: Command,
    ) -> Result<Confirmed<Reply>, WriteError> {
        if *self.closing.borrow() || self.failed.borrow().is_some() {
            return Err(WriteError::Stopped);
        }
        self.group(group).ok_or(WriteError::NoGroup(group))?.propose(command).await
    }

    /// Reads a mailbox group's tables on a blocking thread: a page may have to come from disk.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        group: GroupId,
        read: impl FnOnce(&crate::raft::MailboxMachine) -> Result<T, TableError> + Send + 'static,
    ) -> Result<T, ReadError> {
        if *self.closing.borrow() {
            return Err(ReadError::Stopped);
        }
        let Some(group) = self.group(group) else { return Err(ReadError::Stopped) };
        let state = Arc::clone(&group.state);
        let done = tokio::task::spawn_blocking(move || match &state.machine {
            Machine::Mailbox(machine) => read(machine).inspect_err(|failure| {
                let heals = matches!(failure, TableError::Engine(_) | TableError::Corrupt { .. });
                state.broken.fetch_or(heals, Ordering::AcqRel);
            }),
            Machine::Control(_) => Err(TableError::Engine("not a mailbox group".to_owned())),
        });
        let done = done.await.map_err(|_| ReadError::Stopped)?;
        done.map_err(|e| ReadError::Unavailable(e.to_string()))
    }

    /// Files of blobs that no account refers to now; some may be about to be named.
    pub(super) async fn unused_blobs(&self) -> Result<BTreeSet<String>, ReadError> {
        let (disk, keep) = (Arc::clone(&self.disk), self.control().state.load().referenced_blobs());
        let found = tokio::task::spawn_blocking(move || blob::others(&*disk, &keep)).await;
        let found = found.map_err(|_| ReadError::Stopped)?;
        found.map_err(|e| ReadError::Unavailable(format!("blobs: {e}")))
    }

    /// Removes those of the files that are still unused; returns how many.
    pub(super) async fn remove_blobs(
        self: &Arc<Self>,
        names: BTreeSet<String>,
    ) -> Result<u64, ReadError> {
        let inner = Arc::clone(self);
        let removing = tokio::task::spawn_blocking(move || {
            let referenced = || inner.control().state.load().referenced_blobs();
            blob::remove(&*inner.disk, &inner.pins, &names, referenced)
        });
        let removed = removing.await.map_err(|_| ReadError::Stopped)?;
        removed.map_err(|e| ReadError::Unavailable(format!("blobs: {e}")))
    }

    pub(super) fn fail(&self, reason: &str) {
        self.failed.send_if_modified(|failed| {
            let first = failed.is_none() && !*self.closing.borrow();
            if first {
                tracing::error!(reason, "the store has failed; the node must stop");
                *failed = Some(reason.to_owned());
            }
            first
        });
    }
}

pub(super) fn effect_hook(
    on_arrival: ArrivalHook,
    outbox: Option<Arc<Notify>>,
    metrics: super::StoreMetrics,
) -> EffectHook {
    Box::new(move |effects: &Effects| {
        metrics.receipts_dropped.increment(effects.receipts_dropped);
        let receipts = effects.arrivals.iter().filter(|arrival| arrival.receipt.is_some());
        metrics.receipts.increment(receipts.count() as u64);
        effects.arrivals.iter().for_each(|arrival| on_arrival(arrival));
        if let Some(outbox) = outbox.as_ref().filter(|_| effects.outbox) {
            outbox.notify_one();
        }
    })
}
