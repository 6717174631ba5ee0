//! One Raft group of the store: its queue, and the task that packs waiting commands into
//! entries.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crs_types::GroupId;
use openraft::Raft;
use openraft::error::{ClientWriteError, RaftError};
use tokio::sync::{mpsc, oneshot};

use super::{ConfirmHook, Confirmed, WriteError};
use crate::raft::{Batch, Command, GroupState, Replies, Reply, TypeConfig};
use crate::wal::{GroupWal, Wal};

/// Commands that may wait in a group's queue; beyond it the caller is told busy.
pub const QUEUE_MAX: usize = 4_096;
/// Most commands of one entry.
pub const BATCH_MAX: usize = 512;
/// An entry takes no further command beyond this many bytes.
pub const BATCH_BYTES: usize = 1 << 20;
/// A command larger than this is refused.
pub const COMMAND_MAX: usize = 256 * 1024;
/// How long a confirmation is waited for.
pub(super) const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);

/// A command on its way.
pub(super) struct Job {
    pub(super) command: Command,
    pub(super) answer: oneshot::Sender<Result<Confirmed<Reply>, WriteError>>,
}

/// A running group.
pub(super) struct Group {
    pub(super) id: GroupId,
    pub(super) raft: Raft<TypeConfig>,
    pub(super) state: Arc<GroupState>,
    pub(super) wal: GroupWal,
    pub(super) queue: mpsc::Sender<Job>,
    pub(super) refused: AtomicU64,
}

impl Group {
    /// Queues a command and waits for its confirmation.
    pub(super) async fn propose(&self, command: Command) -> Result<Confirmed<Reply>, WriteError> {
        let weight = weight(&command);
        if weight > COMMAND_MAX {
            return Err(WriteError::TooLarge { limit: COMMAND_MAX as u64, found: weight as u64 });
        }
        let (answer, answered) = oneshot::channel();
        match self.queue.try_send(Job { command, answer }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                return Err(WriteError::Busy);
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(WriteError::Stopped),
        }
        answered.await.unwrap_or(Err(WriteError::Stopped))
    }
}

/// Packs everything that waits into one entry, again and again, until the queue is closed.
pub(super) async fn batch_commands(
    id: GroupId,
    raft: Raft<TypeConfig>,
    wal: Arc<Wal>,
    mut queue: mpsc::Receiver<Job>,
    (sizes, told): (metrics::Histogram, ConfirmHook),
) {
    while let Some(first) = queue.recv().await {
        let mut bytes = weight(&first.command);
        let mut commands = vec![first.command];
        let mut answers = vec![first.answer];
        while commands.len() < BATCH_MAX
            && bytes < BATCH_BYTES
            && let Ok(job) = queue.try_recv()
        {
            bytes += weight(&job.command);
            commands.push(job.command);
            answers.push(job.answer);
        }
        sizes.record(commands.len() as f64);
        // Checked here as well as before queueing: the log may have filled up meanwhile.
        if wal.has_room(bytes as u64, true) {
            let commands = Arc::new(commands);
            let written = write(id, &raft, Arc::clone(&commands)).await;
            if let Ok((Replies(replies), _)) = &written {
                told.confirmed(&commands, replies);
            }
            answer_all(answers, written);
        } else {
            let full = WriteError::DiskFull("no further log segment".to_owned());
            answer_all(answers, Err(full));
        }
    }
}

async fn write(
    id: GroupId,
    raft: &Raft<TypeConfig>,
    commands: Arc<Vec<Command>>,
) -> Result<(Replies, u64), WriteError> {
    let write = raft.client_write(Batch(commands));
    match tokio::time::timeout(CONFIRM_TIMEOUT, write).await {
        Err(_) => Err(WriteError::Unknown),
        Ok(Ok(written)) => Ok((written.data, copies(raft))),
        Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_)))) => {
            Err(WriteError::NoQuorum(id))
        }
        Ok(Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(_)))) => {
            Err(WriteError::NoQuorum(id))
        }
        // The entry may have been written before the group went down.
        Ok(Err(RaftError::Fatal(_))) => Err(WriteError::Unknown),
    }
}

/// A majority of the voters holds what is committed.
fn copies(raft: &Raft<TypeConfig>) -> u64 {
    let metrics = raft.metrics();
    let voters = metrics.borrow().membership_config.voter_ids().count() as u64;
    voters / 2 + 1
}

fn answer_all(
    answers: Vec<oneshot::Sender<Result<Confirmed<Reply>, WriteError>>>,
    outcome: Result<(Replies, u64), WriteError>,
) {
    match outcome {
        Ok((Replies(replies), copies)) => {
            for (answer, reply) in answers.into_iter().zip(replies) {
                // Who no longer waits has given up; commands are idempotent.
                let _ = answer.send(Ok(Confirmed { reply, copies }));
            }
        }
        Err(refusal) => {
            for answer in answers {
                let _ = answer.send(Err(refusal.clone()));
            }
        }
    }
}

pub(super) fn weight(command: &Command) -> usize {
    match command {
        Command::Mailbox(command) => command.weight(),
        Command::Control(command) => control_weight(command),
    }
}

fn control_weight(command: &crate::command::ControlCommand) -> usize {
    use crate::command::ControlCommand as C;
    const ROW: usize = 512;
    // A number of at most 15 digits, or the name of a test client.
    const URI: usize = 64;
    match command {
        C::CreateAccount(c) => ROW + c.secret.len() + c.cms_key.as_ref().map_or(0, Vec::len),
        C::SetAccountSecret(c) => ROW + c.secret.len(),
        C::SetPoolIdentity(c) => ROW + c.identity.len(),
        C::PutSetting(c) => ROW + c.name.len() + c.value.as_ref().map_or(0, |v| v.len()),
        C::BlacklistChange(c) => ROW + (c.add.len() + c.remove.len()) * URI,
        C::ApplyUpdate(c) => ROW + c.cms_key.len(),
        C::DeleteAccount(_)
        | C::AccountPurged(_)
        | C::BlacklistAdd(_)
        | C::BlacklistRemove(_)
        | C::PutNode(_) => ROW,
    }
}
