//! Applied update files (C-151, Q-34, Q-35).

use crs_types::{AccountId, Period};
use serde::{Deserialize, Serialize};

use super::{Account, ControlRefusal, ControlState, UpdateRecord};

/// Past periods whose packages are kept for clients that come back late (design.md §4).
pub const PAST_PERIODS: usize = 3;

/// Records an update file that the caller has unprotected and checked; its content is already
/// stored as a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyUpdate {
    /// The account.
    pub account: AccountId,
    /// What was applied.
    pub update: UpdateRecord,
    /// The CMS key that signed it; pinned when the account has none yet.
    pub cms_key: Vec<u8>,
    /// Take `cms_key` in place of the pinned one: the caller saw it signed by the old key.
    pub replace_key: bool,
    /// The month by the proposer's clock; what lies more than three months back is dropped.
    pub current: Period,
}

impl ApplyUpdate {
    pub(super) fn apply(&self, state: &mut ControlState) -> Result<bool, ControlRefusal> {
        let account = state.account_mut(&self.account)?;
        match &account.cms_key {
            Some(pinned) if *pinned != self.cms_key && !self.replace_key => {
                return Err(ControlRefusal::CmsKey(self.account.clone()));
            }
            Some(_) | None => {}
        }
        if self.again(account)? {
            return Ok(false);
        }
        account.cms_key = Some(self.cms_key.clone());
        account.newest_serial = Some(self.update.serial);
        account.updates.insert(self.update.period, self.update.clone());
        let oldest = (0..PAST_PERIODS).fold(self.current, |period, _| period.previous());
        account.updates.retain(|period, _| *period >= oldest);
        Ok(true)
    }

    /// True when this very file is applied for its month already. Any other one must be newer
    /// than all before it: an old file would bring back whom a newer one has left out.
    fn again(&self, account: &Account) -> Result<bool, ControlRefusal> {
        let (period, got) = (self.update.period, self.update.serial);
        if let Some(have) = account.updates.get(&period).filter(|have| have.serial == got) {
            if have.blob != self.update.blob {
                return Err(ControlRefusal::SerialConflict { period, serial: got });
            }
            return Ok(true);
        }
        match account.newest_serial {
            Some(have) if have > got => Err(ControlRefusal::OlderSerial { have, got }),
            Some(have) if have == got => {
                Err(ControlRefusal::SerialConflict { period, serial: got })
            }
            Some(_) | None => Ok(false),
        }
    }
}
