//! Receipts on their way between groups: outbox, forwarding, done (design.md §5).
//!
//! Rows leave an outbox in order of their numbers. The receiving group remembers the last number
//! it took from each origin, so a row that is forwarded twice is taken once.

use crs_types::limits::MESSAGE_RETENTION;
use crs_types::{GroupId, MessageId, Timestamp};
use serde::{Deserialize, Serialize};

use super::rows::{self, ItemKind, ItemRow};
use super::{Arrival, MailboxReply, ReceiptNote, UserKey};
use crate::table::{TableError, Txn};

/// Most receipts that wait for one user; the oldest gives way to a new one.
pub const RECEIPTS_MAX: u64 = 100_000;
/// Rows read at a time when the oldest receipt is looked for.
const DROP_SCAN: usize = 8;

/// A receipt that has to reach the sender's group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxRow {
    /// Number in the origin's outbox; rises, is never reused.
    pub seq: u64,
    /// The sender of the message: who gets the receipt.
    pub to: UserKey,
    /// The message.
    pub mid: MessageId,
    /// Who acknowledged it.
    pub by: UserKey,
    /// When.
    pub time: Timestamp,
}

/// Receipts from one origin, in order of their numbers and without leaving any out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipts {
    /// The group whose outbox they come from.
    pub origin: GroupId,
    /// The receipts.
    pub items: Vec<OutboxRow>,
}

/// These outbox rows have arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxDone {
    /// Their numbers.
    pub seqs: Vec<u64>,
}

impl Receipts {
    pub(super) fn apply(&self, txn: &mut Txn<'_>) -> Result<MailboxReply, TableError> {
        let watermark_key = rows::watermark_key(self.origin);
        let mut last = txn.row::<u64>(&watermark_key)?.unwrap_or(0);
        let mut accepted = 0;
        for item in &self.items {
            if item.seq <= last {
                continue;
            }
            last = item.seq;
            accepted += 1;
            deliver(txn, item)?;
        }
        if accepted > 0 {
            txn.put_row(&watermark_key, &last)?;
        }
        Ok(MailboxReply::Receipts { accepted })
    }
}

fn deliver(txn: &mut Txn<'_>, item: &OutboxRow) -> Result<(), TableError> {
    if txn.user(&item.to)?.receipts >= RECEIPTS_MAX {
        drop_oldest(txn, &item.to)?;
    }
    let mut user = txn.user(&item.to)?;
    user.newest += 1;
    user.receipts += 1;
    let n = user.newest;
    txn.put_row(&rows::user_key(&item.to), &user)?;
    let expires = item.time.plus(MESSAGE_RETENTION);
    let key = rows::item_key(&item.to, n);
    let kind = ItemKind::Receipt { mid: item.mid, by: item.by.clone(), time: item.time };
    txn.put(rows::due_key(expires, &key), Vec::new());
    txn.put_row(&key, &ItemRow { expires, kind })?;
    let note = ReceiptNote { mid: item.mid, by: item.by.uri.clone() };
    txn.effects.arrivals.push(Arrival { user: item.to.clone(), newest: n, receipt: Some(note) });
    Ok(())
}

/// Removes the oldest receipt. The user's messages may lie in front of it: a row says where to
/// look, so that each of them is passed once and not again for every further receipt.
fn drop_oldest(txn: &mut Txn<'_>, user: &UserKey) -> Result<(), TableError> {
    let end = rows::after_prefix(&rows::with_user(b'i', user));
    let mark = rows::oldest_receipt_key(user);
    let mut from = rows::item_key(user, txn.row::<u64>(&mark)?.unwrap_or(0));
    loop {
        let found = txn.scan(&from, &end, DROP_SCAN)?;
        let Some((last, _)) = found.last() else { return Ok(()) };
        let next = rows::item_number(last).saturating_add(1);
        from = rows::item_key(user, next);
        for (key, value) in found {
            let item = txn.decode::<ItemRow>(&key, &value)?;
            if matches!(item.kind, ItemKind::Receipt { .. }) {
                txn.effects.receipts_dropped += 1;
                txn.put_row(&mark, &rows::item_number(&key).saturating_add(1))?;
                return txn.remove_item(user, &key, &item);
            }
        }
        txn.put_row(&mark, &next)?;
    }
}

impl OutboxDone {
    pub(super) fn apply(&self, txn: &mut Txn<'_>) -> Result<MailboxReply, TableError> {
        for seq in &self.seqs {
            txn.delete(rows::outbox_key(*seq));
        }
        Ok(MailboxReply::Done { changed: !self.seqs.is_empty() })
    }
}
