//! `delete account <account-id>`: erases the account and its users everywhere (C-104, C-280).

use crs_types::AccountId;
use serde::{Deserialize, Serialize};

/// Which account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The account.
    pub account: AccountId,
}

crate::record! {
    /// The account is gone.
    pub struct Reply {
        /// Its id.
        account: AccountId => "ACCOUNT",
        /// `deleted`.
        result: String => "RESULT",
        /// Connections closed by it.
        closed: u64 => "CLOSED",
    }
}
