//! Small per-user records: last read, key updates, client info (C-185, C-412…, Q-29).

use crs_types::{DeviceId, Period, Timestamp};
use serde::{Deserialize, Serialize};

use super::rows::{self, ClientInfoRow, UpdateFlag};
use super::{MailboxReply, UserKey};
use crate::command::Body;
use crate::table::{TableError, Txn};

/// Longest client info in bytes.
pub const CLIENT_INFO_MAX: usize = 2 * 1024;
/// Devices of one user whose client info is kept; the oldest gives way.
pub const DEVICES_MAX: usize = 16;
/// Periods whose flags are kept: next, current and three past ones.
pub(super) const PERIODS_KEPT: usize = 5;
/// Most users of one [`NoteRead`].
pub(super) const READS_MAX: usize = 4_096;

/// Users have looked for messages. Proposed in batches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteRead {
    /// Who, and when.
    pub reads: Vec<(UserKey, Timestamp)>,
}

/// A key update was offered to, or confirmed by, a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteUpdate {
    /// Who.
    pub user: UserKey,
    /// Which month.
    pub period: Period,
    /// Serial of the update file.
    pub serial: u64,
    /// What happened.
    pub note: UpdateNote,
    /// Now, by the proposer's clock.
    pub time: Timestamp,
}

/// What happened to a key update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateNote {
    /// It was offered.
    Offered,
    /// The client has verified and stored it.
    Confirmed,
}

/// What a client says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutClientInfo {
    /// Who.
    pub user: UserKey,
    /// Which device.
    pub device: DeviceId,
    /// Opaque, at most [`CLIENT_INFO_MAX`] bytes.
    pub info: Body,
    /// Now, by the proposer's clock.
    pub time: Timestamp,
}

impl NoteRead {
    pub(super) fn apply(&self, txn: &mut Txn<'_>) -> Result<MailboxReply, TableError> {
        if self.reads.len() > READS_MAX {
            return Ok(MailboxReply::OverLimit { limit: READS_MAX as u64 });
        }
        for (user, time) in &self.reads {
            txn.update_user(user, |row| row.read = row.read.max(Some(*time)))?;
        }
        Ok(MailboxReply::Done { changed: true })
    }
}

impl NoteUpdate {
    pub(super) fn apply(&self, txn: &mut Txn<'_>) -> Result<MailboxReply, TableError> {
        let stamp = Some((self.serial, self.time));
        txn.update_user(&self.user, |row| {
            let at = row.updates.iter().position(|flag| flag.period == self.period);
            let at = at.unwrap_or_else(|| {
                let flag = UpdateFlag { period: self.period, offered: None, confirmed: None };
                row.updates.push(flag);
                row.updates.len() - 1
            });
            if let Some(flag) = row.updates.get_mut(at) {
                match self.note {
                    UpdateNote::Offered => flag.offered = stamp,
                    UpdateNote::Confirmed => flag.confirmed = stamp,
                }
            }
            row.updates.sort_by_key(|flag| flag.period);
            let surplus = row.updates.len().saturating_sub(PERIODS_KEPT);
            row.updates.drain(..surplus);
        })?;
        Ok(MailboxReply::Done { changed: true })
    }
}

impl PutClientInfo {
    pub(super) fn apply(&self, txn: &mut Txn<'_>) -> Result<MailboxReply, TableError> {
        if self.info.len() > CLIENT_INFO_MAX {
            return Ok(MailboxReply::OverLimit { limit: CLIENT_INFO_MAX as u64 });
        }
        let key = rows::client_info_key(&self.user, &self.device);
        if txn.get(&key)?.is_none() {
            self.make_room(txn)?;
        }
        let row = ClientInfoRow {
            user: self.user.clone(),
            device: self.device.clone(),
            info: self.info.clone(),
            time: self.time,
        };
        txn.put_row(&key, &row)?;
        Ok(MailboxReply::Done { changed: true })
    }

    fn make_room(&self, txn: &mut Txn<'_>) -> Result<(), TableError> {
        let prefix = rows::with_user(b'k', &self.user);
        let devices = txn.scan(&prefix, &rows::after_prefix(&prefix), DEVICES_MAX + 1)?;
        if devices.len() < DEVICES_MAX {
            return Ok(());
        }
        let mut oldest: Option<(Timestamp, Vec<u8>)> = None;
        for (key, value) in devices {
            let time = txn.decode::<ClientInfoRow>(&key, &value)?.time;
            if oldest.as_ref().is_none_or(|(least, _)| time < *least) {
                oldest = Some((time, key));
            }
        }
        if let Some((_, key)) = oldest {
            txn.delete(key);
        }
        Ok(())
    }
}
