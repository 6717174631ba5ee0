//! Posting a message: idempotency, quota, arrival number (design.md §5, Q-23, Q-24).

use crs_types::limits::{BODY_MAX, ID_FUTURE_MAX, MESSAGE_RETENTION};
use crs_types::{BlobHash, MessageId, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::rows::{self, AccountRow, BodyRef, DedupRow, INLINE_BODY_MAX, ItemKind, ItemRow};
use super::{Arrival, UserKey, ids};
use crate::command::Body;
use crate::table::{TableError, Txn};

/// A message. The key of idempotency is (`from`, `mid`); a sender of another group claims it
/// there first ([`super::Claim`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// The receiver, whose slot chooses the group.
    pub to: UserKey,
    /// The sender.
    pub from: UserKey,
    /// The sender's id.
    pub mid: MessageId,
    /// Now, by the proposer's clock; shown to the receiver.
    pub time: Timestamp,
    /// When the message is dropped unfetched; at most 35 days after `time` count.
    pub expires: Timestamp,
    /// The body, at most 64 KiB.
    pub body: Body,
    /// The receiver's limits.
    pub quota: Quota,
}

/// How much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Messages of one user.
    pub user_messages: u64,
    /// Bytes of one user.
    pub user_bytes: u64,
    /// Bytes of the account within one group, when limited.
    pub account_bytes: Option<u64>,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            user_messages: crs_types::limits::MAILBOX_MESSAGES_MAX,
            user_bytes: crs_types::limits::MAILBOX_BYTES_MAX,
            account_bytes: None,
        }
    }
}

/// What became of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PostReply {
    /// Stored under this arrival number.
    Stored {
        /// Arrival number in the receiver's mailbox.
        n: u64,
    },
    /// The same message had been stored before, under this number (it may be gone by now).
    Duplicate {
        /// Arrival number it got then.
        n: u64,
    },
    /// The id was used for other content.
    IdConflict,
    /// The id claims a time more than 35 days ago: it may have been forgotten.
    IdTooOld,
    /// The id claims a time more than a day ahead.
    IdInFuture,
    /// The body is over 64 KiB.
    BodyTooLong,
    /// The receiver's mailbox (or its account) is full.
    QuotaExceeded,
    /// The sender has [`super::IDS_MAX`] ids remembered.
    TooManyIds,
}

impl Post {
    pub(super) fn apply(&self, txn: &mut Txn<'_>) -> Result<PostReply, TableError> {
        if let Some(refusal) = self.refusal() {
            return Ok(refusal);
        }
        let fingerprint = self.fingerprint();
        let dedup_key = rows::dedup_key(&self.from, &self.mid);
        match txn.row::<DedupRow>(&dedup_key)? {
            Some(seen) if seen.fingerprint != fingerprint => return Ok(PostReply::IdConflict),
            Some(seen) if seen.n != DedupRow::CLAIMED => {
                return Ok(PostReply::Duplicate { n: seen.n });
            }
            Some(_) => {}
            None if !ids::has_room(txn, &self.from)? => return Ok(PostReply::TooManyIds),
            None => {}
        }
        let Some(n) = self.admit(txn)? else {
            return Ok(PostReply::QuotaExceeded);
        };
        self.store_item(txn, n)?;
        let until = forget_after(&self.mid, self.time);
        ids::remember(txn, &self.from, &dedup_key, &DedupRow { fingerprint, n }, until)?;
        txn.update_user(&self.from, |sender| sender.posted += 1)?;
        txn.effects.arrivals.push(Arrival { user: self.to.clone(), newest: n, receipt: None });
        Ok(PostReply::Stored { n })
    }

    /// Why the message is refused whatever is stored.
    pub(crate) fn refusal(&self) -> Option<PostReply> {
        if self.body.len() > BODY_MAX {
            return Some(PostReply::BodyTooLong);
        }
        outside_window(&self.mid, self.time)
    }

    /// Counts the message in, or says that there is no room.
    fn admit(&self, txn: &mut Txn<'_>) -> Result<Option<u64>, TableError> {
        let bytes = self.body.len() as u64;
        let account_key = rows::account_key(&self.to.account);
        let mut account = txn.row::<AccountRow>(&account_key)?.unwrap_or_default();
        let mut user = txn.user(&self.to)?;
        let full = user.messages >= self.quota.user_messages
            || user.bytes + bytes > self.quota.user_bytes
            || self.quota.account_bytes.is_some_and(|limit| account.bytes + bytes > limit);
        if full {
            return Ok(None);
        }
        user.newest += 1;
        user.messages += 1;
        user.bytes += bytes;
        account.messages += 1;
        account.bytes += bytes;
        txn.put_row(&rows::user_key(&self.to), &user)?;
        txn.put_row(&account_key, &account)?;
        Ok(Some(user.newest))
    }

    fn store_item(&self, txn: &mut Txn<'_>, n: u64) -> Result<(), TableError> {
        let body = if self.body.len() <= INLINE_BODY_MAX {
            BodyRef::Inline(self.body.clone())
        } else {
            let hash = self.body_name();
            txn.effects.bodies.push((hash, self.body.clone()));
            BodyRef::Segment { hash, len: self.body.len() as u64 }
        };
        let expires = self.expires.min(self.time.plus(MESSAGE_RETENTION));
        let kind =
            ItemKind::Content { mid: self.mid, from: self.from.clone(), time: self.time, body };
        let key = rows::item_key(&self.to, n);
        txn.put(rows::due_key(expires, &key), Vec::new());
        txn.put_row(&key, &ItemRow { expires, kind })
    }

    /// Two posts with one id are the same when receiver and body are.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for part in [self.to.account.folded().as_bytes(), self.to.uri.as_str().as_bytes()] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hasher.update(self.body.as_bytes());
        hasher.finalize().into()
    }

    /// Name of the body in the segment files: unique to the message, so that no two messages
    /// share a body and none needs counting of references.
    pub(crate) fn body_name(&self) -> BlobHash {
        let mut hasher = Sha256::new();
        hasher.update(rows::dedup_key(&self.from, &self.mid));
        hasher.update(self.fingerprint());
        BlobHash(hasher.finalize().into())
    }
}

/// Refuses an id of a time at which ids are not remembered any more, or not yet.
pub(super) fn outside_window(mid: &MessageId, now: Timestamp) -> Option<PostReply> {
    let claimed = mid.claimed_time();
    if claimed.plus(MESSAGE_RETENTION) < now {
        Some(PostReply::IdTooOld)
    } else if claimed > now.plus(ID_FUTURE_MAX) {
        Some(PostReply::IdInFuture)
    } else {
        None
    }
}

/// As long as an id is accepted, it must be remembered.
pub(super) fn forget_after(mid: &MessageId, now: Timestamp) -> Timestamp {
    mid.claimed_time().max(now).plus(MESSAGE_RETENTION).plus(ID_FUTURE_MAX)
}
