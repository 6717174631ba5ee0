//! Remembered ids: how many one sender may have, and counting them (design.md §5, Q-24).

use crs_types::Timestamp;

use super::UserKey;
use super::rows::{self, DedupRow};
use crate::table::{TableError, Txn};

/// Most ids that one group remembers of one sender. They are kept for 36 days, so this is more
/// than 5000 messages a day; with what belongs to them they take about 80 MB.
pub const IDS_MAX: u64 = 200_000;

/// False when the sender has to wait until older ids are forgotten.
pub(super) fn has_room(txn: &Txn<'_>, from: &UserKey) -> Result<bool, TableError> {
    Ok(count(txn, &rows::ids_key(from))? < IDS_MAX)
}

/// Remembers an id, until it is due to be forgotten.
pub(super) fn remember(
    txn: &mut Txn<'_>,
    from: &UserKey,
    key: &[u8],
    row: &DedupRow,
    until: Timestamp,
) -> Result<(), TableError> {
    if txn.get(key)?.is_none() {
        let count_key = rows::ids_key(from);
        let now = count(txn, &count_key)? + 1;
        txn.put_row(&count_key, &now)?;
    }
    txn.put_row(key, row)?;
    txn.put(rows::due_key(until, key), Vec::new());
    Ok(())
}

/// Forgets the id of this key.
pub(super) fn forget(txn: &mut Txn<'_>, key: Vec<u8>) -> Result<(), TableError> {
    if txn.get(&key)?.is_none() {
        return Ok(());
    }
    let count_key = rows::ids_key_of(&key);
    // Ids of before there was a count are not in it.
    match count(txn, &count_key)?.saturating_sub(1) {
        0 => txn.delete(count_key),
        left => txn.put_row(&count_key, &left)?,
    }
    txn.delete(key);
    Ok(())
}

fn count(txn: &Txn<'_>, key: &[u8]) -> Result<u64, TableError> {
    Ok(txn.row::<u64>(key)?.unwrap_or(0))
}
