//! `reload account`: reads the account directories again, with hand-edited blacklists (C-279).

use crs_types::AccountId;
use serde::{Deserialize, Serialize};

/// Nothing to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {}

/// What changed, by account.
pub type Reply = Vec<ReloadRow>;

crate::row! {
    /// One account.
    pub struct ReloadRow {
        /// Its id.
        account: AccountId => "ACCOUNT",
        /// Users that its file newly blocks.
        blocked: u64 => "BLOCKED",
        /// Users that its file no longer blocks.
        unblocked: u64 => "UNBLOCKED",
        /// Connections closed by it.
        closed: u64 => "CLOSED",
        /// Lines of the file that are no numbers, or why it could not be read.
        problems: Vec<String> => "PROBLEMS",
    }
}
