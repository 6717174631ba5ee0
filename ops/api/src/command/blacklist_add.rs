//! `blacklist add <account-id> <uri>`: stops a user at once in the whole pool (C-303, Q-46).

use crs_types::{AccountId, Uri};
use serde::{Deserialize, Serialize};

/// Whom to block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The user's account.
    pub account: AccountId,
    /// The user.
    pub uri: Uri,
}

crate::record! {
    /// The user is blocked; also when he was before.
    pub struct Reply {
        /// The account.
        account: AccountId => "ACCOUNT",
        /// The user's number.
        uri: String => "URI",
        /// `blocked`, or `already blocked`.
        result: String => "RESULT",
        /// Connections closed by it.
        closed: u64 => "CLOSED",
    }
}
