//! What Raft carries: batches of commands, replies in the same order.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::snapshot::SnapshotFile;
use crate::command::{ControlCommand, ControlReply, MailboxCommand, MailboxReply};

openraft::declare_raft_types!(
    /// One configuration for all groups: a batch of commands in, as many replies out.
    pub TypeConfig:
        D = Batch,
        R = Replies,
        NodeId = u64,
        Node = openraft::impls::EmptyNode,
        SnapshotData = SnapshotFile,
);

/// A command for one of the two kinds of groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// For group 0.
    Control(ControlCommand),
    /// For a mailbox group.
    Mailbox(MailboxCommand),
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// In group 0.
    Control(ControlReply),
    /// In a mailbox group.
    Mailbox(MailboxReply),
    /// The command was for the other kind of group: our bug, and nothing was changed.
    WrongGroup,
}

/// The commands of one log entry. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch(pub Arc<Vec<Command>>);

/// The replies to one log entry, in the order of its commands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replies(pub Vec<Reply>);

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({} commands)", self.0.len())
    }
}
