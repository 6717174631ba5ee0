//! Applied update files (C-151, Q-34, Q-35).

use crs_types::{AccountId, Period};
use serde::{Deserialize, Serialize};

use super::{ControlRefusal, ControlState, UpdateRecord};

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
        let period = self.update.period;
        let got = self.update.serial;
        if let Some(have) = account.updates.get(&period) {
            if have.serial > got {
                return Err(ControlRefusal::OlderSerial { period, have: have.serial, got });
            }
            if have.serial == got && have.blob != self.update.blob {
                return Err(ControlRefusal::SerialConflict { period, serial: got });
            }
            if have.serial == got {
                return Ok(false);
            }
        }
        account.cms_key = Some(self.cms_key.clone());
        account.updates.insert(period, self.update.clone());
        let oldest = (0..PAST_PERIODS).fold(self.current, |period, _| period.previous());
        account.updates.retain(|period, _| *period >= oldest);
        Ok(true)
    }
}
