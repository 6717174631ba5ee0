//! Commands of group 0 (*control*): accounts, blacklist, update files, nodes, pool identity.

use crs_types::Period;
use serde::{Deserialize, Serialize};

mod account;
mod blacklist;
mod pool;
mod state;
mod state_v1;
mod update;

pub use account::{ACCOUNTS_MAX, AccountPurged, CreateAccount, DeleteAccount, SetAccountSecret};
pub use blacklist::{
    BLACKLIST_CHANGE_MAX, BLACKLIST_MAX, BlacklistAdd, BlacklistChange, BlacklistRemove,
};
pub use pool::{PutNode, PutSetting, SETTING_MAX, SETTINGS_MAX, SetPoolIdentity};
pub use state::{Account, ControlState, NodeRecord, UpdateRecord};
pub(crate) use state_v1::StateV1;
pub use update::{ApplyUpdate, PAST_PERIODS};

/// A command for the control group. Stored in the log by the variant's position: new ones are
/// added at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlCommand {
    /// Creates an account.
    CreateAccount(CreateAccount),
    /// Deletes an account; its mailboxes are dropped in the background.
    DeleteAccount(DeleteAccount),
    /// The mailboxes of a deleted account are gone (proposed by the store itself).
    AccountPurged(AccountPurged),
    /// Replaces the sealed secret of an account.
    SetAccountSecret(SetAccountSecret),
    /// Bars a user.
    BlacklistAdd(BlacklistAdd),
    /// Lifts a bar.
    BlacklistRemove(BlacklistRemove),
    /// Records an applied update file.
    ApplyUpdate(ApplyUpdate),
    /// Stores the pool's identity.
    SetPoolIdentity(SetPoolIdentity),
    /// Records a node.
    PutNode(PutNode),
    /// Stores a pool-wide setting.
    PutSetting(PutSetting),
    /// Bars and lifts bars of many users at once.
    BlacklistChange(BlacklistChange),
}

/// What a control command did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlReply {
    /// Carried out; `changed` is false when the state was already so.
    Done {
        /// Whether anything changed.
        changed: bool,
    },
    /// Refused; the state is as before.
    Refused(ControlRefusal),
}

impl ControlReply {
    /// As a result: whether anything changed, or why it was refused.
    pub fn into_result(self) -> Result<bool, ControlRefusal> {
        match self {
            Self::Done { changed } => Ok(changed),
            Self::Refused(why) => Err(why),
        }
    }
}

/// Why a control command was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ControlRefusal {
    /// `create account` of an id that exists (ids are unique without regard to case).
    #[error("account {0} exists already")]
    AccountExists(crs_types::AccountId),
    /// The account's old mailboxes are still being dropped.
    #[error("account {0} was deleted and its mailboxes are still being removed; try again shortly")]
    AccountPurging(crs_types::AccountId),
    /// No such account.
    #[error("there is no account {0}")]
    NoAccount(crs_types::AccountId),
    /// An update file older than the newest one of the account.
    #[error("update serial {have} has been applied; serial {got} is older")]
    OlderSerial {
        /// Newest serial that was applied, whatever its month.
        have: u64,
        /// Serial that came.
        got: u64,
    },
    /// A serial that was applied, other content or another month.
    #[error("update serial {serial}, here for period {period}, was applied with other content")]
    SerialConflict {
        /// The month.
        period: Period,
        /// The serial.
        serial: u64,
    },
    /// Signed by another CMS key than the pinned one.
    #[error("the update is not signed by the CMS key that account {0} is pinned to")]
    CmsKey(crs_types::AccountId),
    /// The pool already has an identity.
    #[error("the pool already has an identity")]
    IdentityExists,
    /// A list or value is at its limit.
    #[error("{what} is limited to {limit}")]
    Limit {
        /// What is limited.
        what: String,
        /// The limit.
        limit: u64,
    },
}

#[cfg(test)]
mod tests;
