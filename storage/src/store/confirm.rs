//! Who is told of what has been confirmed, whether or not its sender still waits for it.

use std::fmt;
use std::sync::Arc;

use crate::command::{MailboxCommand, MailboxReply};
use crate::raft::{Command, Reply};

/// What is called with a command of a mailbox group and what it did.
type Told = dyn Fn(&MailboxCommand, &MailboxReply) + Send + Sync;

/// Called once for each command that this node proposed and that is durable now, before its
/// answer is passed on; must not block. It belongs to the group and not to who asked: a client
/// that leaves behind its request must not take the traces and figures of it along.
#[derive(Clone, Default)]
pub struct ConfirmHook(Option<Arc<Told>>);

impl ConfirmHook {
    /// Calls `told`.
    pub fn new(told: impl Fn(&MailboxCommand, &MailboxReply) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }

    pub(super) fn confirmed(&self, commands: &[Command], replies: &[Reply]) {
        let Some(told) = &self.0 else { return };
        for pair in commands.iter().zip(replies) {
            if let (Command::Mailbox(command), Reply::Mailbox(reply)) = pair {
                told(command, reply);
            }
        }
    }
}

impl fmt::Debug for ConfirmHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfirmHook")
    }
}
