//! `show blacklist <account-id>` (C-168, C-169).

use crs_types::AccountId;
use serde::{Deserialize, Serialize};

/// Whose blacklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The account.
    pub account: AccountId,
}

/// The blocked users in order.
pub type Reply = Vec<BlacklistRow>;

crate::row! {
    /// One blocked user.
    pub struct BlacklistRow {
        /// The user's number.
        uri: String => "URI",
    }
}
