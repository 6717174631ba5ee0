//! Barring users (C-152…C-154, Q-46).

use std::collections::BTreeSet;

use crs_types::{AccountId, Timestamp, Uri};
use serde::{Deserialize, Serialize};

use super::{ControlRefusal, ControlState};

/// Most barred users of one account.
pub const BLACKLIST_MAX: usize = 100_000;

/// Most users of one [`BlacklistChange`].
pub const BLACKLIST_CHANGE_MAX: usize = 1_000;

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

/// Bars some users of an account and lifts the bars of others: all of it or, beyond a limit,
/// nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlacklistChange {
    /// The account.
    pub account: AccountId,
    /// Users to bar; with `remove` at most [`BLACKLIST_CHANGE_MAX`].
    pub add: Vec<Uri>,
    /// Users who may come in again.
    pub remove: Vec<Uri>,
    /// Now, by the proposer's clock.
    pub time: Timestamp,
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

impl BlacklistChange {
    pub(super) fn apply(&self, state: &mut ControlState) -> Result<bool, ControlRefusal> {
        if self.add.len() + self.remove.len() > BLACKLIST_CHANGE_MAX {
            let what = "one change of a blacklist".to_owned();
            return Err(ControlRefusal::Limit { what, limit: BLACKLIST_CHANGE_MAX as u64 });
        }
        let account = state.account_mut(&self.account)?;
        let add: BTreeSet<&Uri> =
            self.add.iter().filter(|uri| !account.blacklist.contains_key(*uri)).collect();
        let remove: BTreeSet<&Uri> =
            self.remove.iter().filter(|uri| account.blacklist.contains_key(*uri)).collect();
        if account.blacklist.len() + add.len() > BLACKLIST_MAX + remove.len() {
            let what = format!("the blacklist of account {}", self.account);
            return Err(ControlRefusal::Limit { what, limit: BLACKLIST_MAX as u64 });
        }
        let changed = !add.is_empty() || !remove.is_empty();
        for uri in remove {
            account.blacklist.remove(uri);
        }
        for uri in add {
            account.blacklist.insert(uri.clone(), self.time);
        }
        Ok(changed)
    }
}
