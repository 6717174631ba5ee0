//! `purge clients <account-id>`: closes the connections of the account's clients (C-306, D-18).

use crs_types::AccountId;
use serde::{Deserialize, Serialize};

/// Whose connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The account.
    pub account: AccountId,
}

crate::record! {
    /// The connections are closed.
    pub struct Reply {
        /// The account.
        account: AccountId => "ACCOUNT",
        /// Connections closed.
        closed: u64 => "CLOSED",
    }
}
