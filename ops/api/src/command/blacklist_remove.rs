//! `blacklist remove <account-id> <uri>` (C-304).

use crs_types::{AccountId, Uri};
use serde::{Deserialize, Serialize};

/// Whom to let in again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The user's account.
    pub account: AccountId,
    /// The user.
    pub uri: Uri,
}

crate::record! {
    /// The user may attach again.
    pub struct Reply {
        /// The account.
        account: AccountId => "ACCOUNT",
        /// The user's number.
        uri: String => "URI",
        /// `unblocked`.
        result: String => "RESULT",
    }
}
