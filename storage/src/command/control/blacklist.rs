//! Barring users (C-152…C-154, Q-46).

use crs_types::{AccountId, Timestamp, Uri};
use serde::{Deserialize, Serialize};

use super::{ControlRefusal, ControlState};

/// Most barred users of one account.
pub const BLACKLIST_MAX: usize = 100_000;

/// Bars a user of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlacklistAdd {
    /// The account.
    pub account: AccountId,
    /// The user.
    pub uri: Uri,
    /// Now, by the proposer's clock.
    pub time: Timestamp,
}

/// Lifts the bar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlacklistRemove {
    /// The account.
    pub account: AccountId,
    /// The user.
    pub uri: Uri,
}

impl BlacklistAdd {
    pub(super) fn apply(&self, state: &mut ControlState) -> Result<bool, ControlRefusal> {
        let account = state.account_mut(&self.account)?;
        if account.blacklist.contains_key(&self.uri) {
            return Ok(false);
        }
        if account.blacklist.len() >= BLACKLIST_MAX {
            let what = format!("the blacklist of account {}", self.account);
            return Err(ControlRefusal::Limit { what, limit: BLACKLIST_MAX as u64 });
        }
        account.blacklist.insert(self.uri.clone(), self.time);
        Ok(true)
    }
}

impl BlacklistRemove {
    pub(super) fn apply(&self, state: &mut ControlState) -> Result<bool, ControlRefusal> {
        Ok(state.account_mut(&self.account)?.blacklist.remove(&self.uri).is_some())
    }
}
