//! A transaction: reads see the changes made so far, nothing reaches the table before it is
//! written as one batch.

use std::collections::BTreeMap;

use crs_types::envelope::{self, Version};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Changes, Kv, Rows, TableError};
use crate::command::mailbox::rows::{self, AccountRow, BodyRef, ItemKind, ItemRow, UserRow};
use crate::command::mailbox::{Effects, OutboxRow, UserKey};

const ROW_VERSION: Version = Version(1);
/// Longest row that is read back; rows are kept within 4 KiB when written.
const ROW_MAX: usize = 16 * 1024;

/// Changes on top of a table.
pub struct Txn<'a> {
    table: &'a dyn Kv,
    changes: Changes,
    /// What applying changed besides the tables.
    pub effects: Effects,
}

impl<'a> Txn<'a> {
    /// An empty transaction on a table.
    pub fn new(table: &'a dyn Kv) -> Self {
        Self { table, changes: BTreeMap::new(), effects: Effects::default() }
    }

    /// The changes and effects.
    pub fn finish(self) -> (Changes, Effects) {
        (self.changes, self.effects)
    }

    /// Sets a key.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.changes.insert(key, Some(value));
    }

    /// Removes a key.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.changes.insert(key, None);
    }

    /// Encodes and sets a row.
    pub fn put_row<T: Serialize>(&mut self, key: &[u8], row: &T) -> Result<(), TableError> {
        self.put(key.to_vec(), encode_row(row)?);
        Ok(())
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        match self.changes.get(key) {
            Some(change) => Ok(change.clone()),
            None => self.table.get(key),
        }
    }

    /// The decoded row of a key.
    pub fn row<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, TableError> {
        self.get(key)?.map(|value| decode_row(key, &value)).transpose()
    }

    /// Decodes a scanned row.
    pub fn decode<T: DeserializeOwned>(&self, key: &[u8], value: &[u8]) -> Result<T, TableError> {
        decode_row(key, value)
    }

    /// Up to `limit` rows with `from <= key < to`, in key order.
    pub fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Rows, TableError> {
        if from >= to || limit == 0 {
            return Ok(Vec::new());
        }
        let changed = || self.changes.range(from.to_vec()..to.to_vec());
        // Every deletion in the range can hide one row of the table.
        let hidden = changed().filter(|(_, change)| change.is_none()).count();
        let stored = self.table.range(from, to, limit.saturating_add(hidden))?;
        let mut merged: BTreeMap<Vec<u8>, Option<Vec<u8>>> =
            stored.into_iter().map(|(key, value)| (key, Some(value))).collect();
        merged.extend(changed().map(|(key, change)| (key.clone(), change.clone())));
        let rows = merged.into_iter().filter_map(|(key, value)| value.map(|value| (key, value)));
        Ok(rows.take(limit).collect())
    }

    /// The row of a user; a fresh one when nothing is known of them.
    pub fn user(&self, user: &UserKey) -> Result<UserRow, TableError> {
        let row = self.row(&rows::user_key(user))?;
        Ok(row.unwrap_or_else(|| UserRow::new(user)))
    }

    /// Changes the row of a user.
    pub fn update_user(
        &mut self,
        user: &UserKey,
        change: impl FnOnce(&mut UserRow),
    ) -> Result<(), TableError> {
        let mut row = self.user(user)?;
        change(&mut row);
        self.put_row(&rows::user_key(user), &row)
    }

    /// Removes an item, its due date and its body, and counts it out of the mailbox.
    pub fn remove_item(
        &mut self,
        user: &UserKey,
        key: &[u8],
        item: &ItemRow,
    ) -> Result<(), TableError> {
        self.delete(key.to_vec());
        self.delete(rows::due_key(item.expires, key));
        match &item.kind {
            ItemKind::Receipt { .. } => {
                self.update_user(user, |row| row.receipts = row.receipts.saturating_sub(1))
            }
            ItemKind::Content { body, .. } => {
                let bytes = body.len();
                if let BodyRef::Segment { hash, .. } = body {
                    self.effects.released.push(*hash);
                }
                self.update_user(user, |row| {
                    row.messages = row.messages.saturating_sub(1);
                    row.bytes = row.bytes.saturating_sub(bytes);
                })?;
                let account_key = rows::account_key(&user.account);
                let mut account = self.row::<AccountRow>(&account_key)?.unwrap_or_default();
                account.messages = account.messages.saturating_sub(1);
                account.bytes = account.bytes.saturating_sub(bytes);
                self.put_row(&account_key, &account)
            }
        }
    }

    /// Appends a row to the outbox; its number is given here.
    pub fn push_outbox(&mut self, mut row: OutboxRow) -> Result<(), TableError> {
        let next_key = rows::outbox_next_key();
        row.seq = self.row::<u64>(&next_key)?.unwrap_or(1);
        self.put_row(&next_key, &(row.seq + 1))?;
        self.effects.outbox = true;
        self.put_row(&rows::outbox_key(row.seq), &row)
    }
}

/// Encodes a row behind its version.
fn encode_row<T: Serialize>(row: &T) -> Result<Vec<u8>, TableError> {
    envelope::encode(ROW_VERSION, row).map_err(|e| TableError::Corrupt { what: e.to_string() })
}

/// Decodes a row, naming its kind when it is damaged.
pub(crate) fn decode_row<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, TableError> {
    envelope::decode(ROW_VERSION, value, ROW_MAX).map_err(|e| {
        let kind = key.first().copied().map_or('?', char::from);
        TableError::Corrupt { what: format!("row of kind {kind:?}: {e}") }
    })
}
