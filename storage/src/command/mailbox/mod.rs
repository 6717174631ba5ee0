//! Commands of the mailbox groups 1…N: posts, acknowledgements, receipts, per-user records.

use crs_types::{AccountId, BlobHash, MessageId, Uri};
use serde::{Deserialize, Serialize};

mod ack;
mod claim;
mod drop_account;
mod expire;
mod ids;
mod notes;
mod post;
mod receipts;
pub mod rows;
#[cfg(test)]
mod tests;

pub use ack::{Ack, AckedContent};
pub use claim::{Claim, ClaimReply};
pub use drop_account::DropAccount;
pub use expire::Expire;
pub use ids::IDS_MAX;
pub use notes::{CLIENT_INFO_MAX, DEVICES_MAX, NoteRead, NoteUpdate, PutClientInfo, UpdateNote};
pub use post::{Post, PostReply, Quota};
pub use receipts::{OutboxDone, OutboxRow, RECEIPTS_MAX, Receipts};

use crate::command::Body;
use crate::table::{TableError, Txn};

/// A user: the owner of a mailbox and of counters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UserKey {
    /// The account.
    pub account: AccountId,
    /// The user's URI.
    pub uri: Uri,
}

/// A command for the mailbox group that owns the user's slot. Stored in the log by the variant's
/// position: new ones are added at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MailboxCommand {
    /// A message for a user of this group.
    Post(Post),
    /// A user of this group has items safe.
    Ack(Ack),
    /// Receipts forwarded from another group's outbox (proposed by the store itself).
    Receipts(Receipts),
    /// Outbox rows of this group have arrived (proposed by the store itself).
    OutboxDone(OutboxDone),
    /// Users have looked for messages.
    NoteRead(NoteRead),
    /// A key update was offered to, or confirmed by, a user.
    NoteUpdate(NoteUpdate),
    /// What a client says about itself.
    PutClientInfo(PutClientInfo),
    /// Removes what has outlived its time (proposed by the store itself).
    Expire(Expire),
    /// Removes the mailboxes of a deleted account (proposed by the store itself).
    DropAccount(DropAccount),
    /// A user of this group is about to post to another group (proposed by the store itself).
    Claim(Claim),
}

/// What a mailbox command did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MailboxReply {
    /// Of [`Post`].
    Post(PostReply),
    /// Of [`Ack`]: items removed (those already gone do not count).
    Acked {
        /// How many.
        removed: u64,
        /// Those of them that were messages.
        contents: Vec<AckedContent>,
    },
    /// Of [`Receipts`]: receipts that were new here.
    Receipts {
        /// How many.
        accepted: u64,
    },
    /// Of [`Expire`] and [`DropAccount`].
    Removed {
        /// Rows removed.
        removed: u64,
        /// True when there is more to remove.
        more: bool,
    },
    /// Of everything else.
    Done {
        /// Whether anything changed.
        changed: bool,
    },
    /// The command's lists or values are over their limit.
    OverLimit {
        /// The limit.
        limit: u64,
    },
    /// Of [`Claim`].
    Claim(ClaimReply),
}

/// What applying changed besides the tables, for the shell to carry out.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Effects {
    /// New items, in order.
    pub arrivals: Vec<Arrival>,
    /// Bodies to write to the segment files before the tables name them.
    pub bodies: Vec<(BlobHash, Body)>,
    /// Bodies that nothing refers to any more.
    pub released: Vec<BlobHash>,
    /// True when outbox rows were added.
    pub outbox: bool,
    /// Receipts that gave way to newer ones.
    pub receipts_dropped: u64,
}

/// Something new in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Whose mailbox.
    pub user: UserKey,
    /// Number of the item, the newest in this mailbox.
    pub newest: u64,
    /// Set when the item is a receipt.
    pub receipt: Option<ReceiptNote>,
}

/// What `msg.acked` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptNote {
    /// The message that was acknowledged.
    pub mid: MessageId,
    /// Who acknowledged it.
    pub by: Uri,
}

impl MailboxCommand {
    /// Applies the command to the tables. Pure: the result depends on tables and command alone.
    pub fn apply(&self, txn: &mut Txn<'_>) -> Result<MailboxReply, TableError> {
        match self {
            Self::Post(c) => c.apply(txn).map(MailboxReply::Post),
            Self::Ack(c) => c.apply(txn),
            Self::Receipts(c) => c.apply(txn),
            Self::OutboxDone(c) => c.apply(txn),
            Self::NoteRead(c) => c.apply(txn),
            Self::NoteUpdate(c) => c.apply(txn),
            Self::PutClientInfo(c) => c.apply(txn),
            Self::Expire(c) => c.apply(txn),
            Self::DropAccount(c) => c.apply(txn),
            Self::Claim(c) => c.apply(txn),
        }
    }

    /// About how many bytes the command takes in the log.
    pub fn weight(&self) -> usize {
        const ROW: usize = 256;
        match self {
            Self::Post(c) => ROW + c.body.len(),
            Self::Ack(c) => ROW + c.n.len() * 9,
            Self::Receipts(c) => ROW + c.items.len() * ROW,
            Self::OutboxDone(c) => ROW + c.seqs.len() * 9,
            Self::NoteRead(c) => ROW + c.reads.len() * 128,
            Self::PutClientInfo(c) => ROW + c.info.len(),
            Self::NoteUpdate(_) | Self::Expire(_) | Self::DropAccount(_) | Self::Claim(_) => ROW,
        }
    }

    /// True for commands that free space or only move what is already confirmed: they are let
    /// through when the disk is too full for posts.
    pub fn drains(&self) -> bool {
        match self {
            Self::Ack(_)
            | Self::Receipts(_)
            | Self::OutboxDone(_)
            | Self::Expire(_)
            | Self::DropAccount(_) => true,
            Self::Post(_)
            | Self::Claim(_)
            | Self::NoteRead(_)
            | Self::NoteUpdate(_)
            | Self::PutClientInfo(_) => false,
        }
    }
}
