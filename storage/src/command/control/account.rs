//! Creating and deleting accounts (C-268…C-279).

use std::collections::BTreeMap;
use std::sync::Arc;

use crs_types::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Account, ControlRefusal, ControlState};
use crate::command::Sealed;

/// Most accounts of a pool.
pub const ACCOUNTS_MAX: usize = 10_000;

/// Creates an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateAccount {
    /// Unique without regard to case.
    pub id: AccountId,
    /// The account secret, sealed by the caller with a key derived from the pool key.
    pub secret: Sealed,
    /// Public key of the account's CMS, when the operator names it at creation.
    pub cms_key: Option<Vec<u8>>,
    /// Now, by the proposer's clock.
    pub time: Timestamp,
}

/// Deletes an account, its blacklist and updates at once, its mailboxes in the background.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteAccount {
    /// Which.
    pub id: AccountId,
}

/// The mailboxes of a deleted account are gone in every group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountPurged {
    /// Which.
    pub id: AccountId,
}

/// Replaces the sealed secret (after a change of the pool key, or of the secret itself).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAccountSecret {
    /// Which account.
    pub id: AccountId,
    /// The new sealed secret.
    pub secret: Sealed,
}

impl CreateAccount {
    pub(super) fn apply(&self, state: &mut ControlState) -> Result<bool, ControlRefusal> {
        if let Some(there) = state.accounts.get(&self.id) {
            // As it is spelt there: an id in another case is the same.
            return Err(ControlRefusal::AccountExists(there.id.clone()));
        }
        if state.purging.contains(&self.id) {
            return Err(ControlRefusal::AccountPurging(self.id.clone()));
        }
        if state.accounts.len() >= ACCOUNTS_MAX {
            let what = "the number of accounts".to_owned();
            return Err(ControlRefusal::Limit { what, limit: ACCOUNTS_MAX as u64 });
        }
        let account = Account {
            id: self.id.clone(),
            secret: self.secret.clone(),
            cms_key: self.cms_key.clone(),
            created: self.time,
            blacklist: BTreeMap::new(),
            newest_serial: None,
            updates: BTreeMap::new(),
        };
        state.accounts.insert(self.id.clone(), Arc::new(account));
        Ok(true)
    }
}

impl DeleteAccount {
    pub(super) fn apply(&self, state: &mut ControlState) -> Result<bool, ControlRefusal> {
        match state.accounts.remove(&self.id) {
            Some(_) => {
                state.purging.insert(self.id.clone());
                Ok(true)
            }
            None => Err(ControlRefusal::NoAccount(self.id.clone())),
        }
    }
}

impl AccountPurged {
    pub(super) fn apply(&self, state: &mut ControlState) -> Result<bool, ControlRefusal> {
        Ok(state.purging.remove(&self.id))
    }
}

impl SetAccountSecret {
    pub(super) fn apply(&self, state: &mut ControlState) -> Result<bool, ControlRefusal> {
        let account = state.account_mut(&self.id)?;
        let changed = account.secret != self.secret;
        account.secret = self.secret.clone();
        Ok(changed)
    }
}
