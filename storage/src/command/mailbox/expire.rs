//! Removing what has outlived its time: unfetched items and remembered ids.

use crs_types::Timestamp;
use serde::{Deserialize, Serialize};

use super::rows::{self, ItemRow};
use super::{MailboxReply, UserKey, ids};
use crate::table::{TableError, Txn};

/// Removes what falls due before `now`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expire {
    /// Now, by the proposer's clock.
    pub now: Timestamp,
    /// At most this many rows.
    pub limit: u32,
}

impl Expire {
    pub(super) fn apply(&self, txn: &mut Txn<'_>) -> Result<MailboxReply, TableError> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let start = rows::due_key(Timestamp::from_millis(0), &[]);
        let end = rows::due_key(self.now, &[]);
        let due = txn.scan(&start, &end, limit)?;
        let more = due.len() == limit;
        let removed = due.len() as u64;
        for (key, _) in due {
            let target = rows::due_target(&key).to_vec();
            txn.delete(key);
            remove_target(txn, target)?;
        }
        Ok(MailboxReply::Removed { removed, more })
    }
}

fn remove_target(txn: &mut Txn<'_>, target: Vec<u8>) -> Result<(), TableError> {
    match target.first() {
        Some(b'i') => {}
        Some(b'd') => return ids::forget(txn, target),
        Some(_) | None => {
            txn.delete(target);
            return Ok(());
        }
    }
    let Some(item) = txn.row::<ItemRow>(&target)? else { return Ok(()) };
    let user = owner(txn, &target)?;
    txn.remove_item(&user, &target, &item)
}

/// The user whose mailbox holds the item: its row has the same key but for kind and number.
fn owner(txn: &mut Txn<'_>, item_key: &[u8]) -> Result<UserKey, TableError> {
    let mut key = item_key.get(..item_key.len().saturating_sub(8)).unwrap_or_default().to_vec();
    if let Some(kind) = key.first_mut() {
        *kind = b'u';
    }
    match txn.row::<rows::UserRow>(&key)? {
        Some(row) => Ok(row.user),
        None => Err(TableError::Corrupt { what: "an item without a user row".to_owned() }),
    }
}
