//! Claiming an id for its content in the sender's group, before the message goes to a receiver of
//! another group (design.md §5): the key of idempotency is (account, sender, id), whoever
//! receives.
//!
//! A claim is a [`DedupRow`] without an arrival number. It is written once and never changed to
//! other content, so of several posts with one id, be they repeated after a crash or made by two
//! devices at once, only those with the content that came first get past it.

use crs_types::{MessageId, Timestamp};
use serde::{Deserialize, Serialize};

use super::post::{Post, PostReply, forget_after, outside_window};
use super::rows::{self, DedupRow};
use super::{MailboxReply, UserKey, ids};
use crate::table::{TableError, Txn};

/// The sender is about to post this content under this id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The sender, whose slot chooses the group.
    pub from: UserKey,
    /// The sender's id.
    pub mid: MessageId,
    /// SHA-256 over receiver and body.
    pub fingerprint: [u8; 32],
    /// Now, by the proposer's clock.
    pub time: Timestamp,
}

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClaimReply {
    /// The id is for this content from now on.
    Claimed,
    /// The id was for this content before.
    Same,
    /// The message must not be stored.
    Refused(PostReply),
}

impl Claim {
    /// The claim that has to come before a post.
    pub fn of(post: &Post) -> Self {
        let Post { from, mid, time, .. } = post;
        let fingerprint = post.fingerprint();
        Self { from: from.clone(), mid: *mid, fingerprint, time: *time }
    }

    pub(super) fn apply(&self, txn: &mut Txn<'_>) -> Result<MailboxReply, TableError> {
        self.decide(txn).map(MailboxReply::Claim)
    }

    fn decide(&self, txn: &mut Txn<'_>) -> Result<ClaimReply, TableError> {
        if let Some(refusal) = outside_window(&self.mid, self.time) {
            return Ok(ClaimReply::Refused(refusal));
        }
        let key = rows::dedup_key(&self.from, &self.mid);
        match txn.row::<DedupRow>(&key)? {
            Some(seen) if seen.fingerprint == self.fingerprint => Ok(ClaimReply::Same),
            Some(_) => Ok(ClaimReply::Refused(PostReply::IdConflict)),
            None if !ids::has_room(txn, &self.from)? => {
                Ok(ClaimReply::Refused(PostReply::TooManyIds))
            }
            None => {
                let row = DedupRow { fingerprint: self.fingerprint, n: DedupRow::CLAIMED };
                let until = forget_after(&self.mid, self.time);
                ids::remember(txn, &self.from, &key, &row, until)?;
                Ok(ClaimReply::Claimed)
            }
        }
    }
}
