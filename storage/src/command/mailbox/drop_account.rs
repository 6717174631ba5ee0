//! Removing the mailboxes of a deleted account, a bounded number of rows at a time.

use crs_types::AccountId;
use serde::{Deserialize, Serialize};

use super::MailboxReply;
use super::rows::{self, ItemRow, UserRow};
use crate::table::{TableError, Txn};

/// Removes up to `limit` rows of an account: items first, users and client info after them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropAccount {
    /// Which.
    pub account: AccountId,
    /// At most this many rows.
    pub limit: u32,
}

impl DropAccount {
    pub(super) fn apply(&self, txn: &mut Txn<'_>) -> Result<MailboxReply, TableError> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let mut left = limit;
        for kind in [b'i', b'r', b'u', b'k', b'd', b'c', b'a'] {
            let prefix = rows::account_prefix(kind, &self.account);
            let found = txn.scan(&prefix, &rows::after_prefix(&prefix), left)?;
            left -= found.len();
            for (key, value) in found {
                self.remove(txn, kind, key, &value)?;
            }
        }
        Ok(MailboxReply::Removed { removed: (limit - left) as u64, more: left == 0 })
    }

    fn remove(
        &self,
        txn: &mut Txn<'_>,
        kind: u8,
        key: Vec<u8>,
        value: &[u8],
    ) -> Result<(), TableError> {
        if kind != b'i' {
            txn.delete(key);
            return Ok(());
        }
        let item = txn.decode::<ItemRow>(&key, value)?;
        let mut user_key = key.get(..key.len().saturating_sub(8)).unwrap_or_default().to_vec();
        if let Some(first) = user_key.first_mut() {
            *first = b'u';
        }
        match txn.row::<UserRow>(&user_key)?.map(|row| row.user) {
            Some(user) => txn.remove_item(&user, &key, &item),
            None => {
                txn.delete(key);
                Ok(())
            }
        }
    }
}
