//! `lookup client <account-id> <uri> [-v]` (C-315 … C-320).

use crs_types::{AccountId, Uri};
use serde::{Deserialize, Serialize};

/// Whom to look for, as seen from which account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The account that asks.
    pub account: AccountId,
    /// The number.
    pub uri: Uri,
}

crate::record! {
    /// Where the number was found.
    pub struct Reply {
        /// The pool the client is connected to: `local`, or `not connected`.
        source: String => "Source",
        /// The number.
        uri: String => "Uri",
        /// The domain it belongs to.
        domain: String => "Domain",
        /// Version and update time of what the client uploaded about itself, or `none`.
        client_token: String => "Client token",
        /// The same of its domain, or `none`.
        domain_token: String => "Domain token",
        /// Domains that were searched, in order.
        searched: Vec<String> => verbose "Searched",
        /// Whether others can look the user up.
        listed: bool => verbose "Listed",
        /// Whether the user is blocked.
        blacklisted: bool => verbose "Blacklisted",
        /// Key month in use.
        period: String => verbose "Period",
        /// Generation of the user's keys.
        generation: u32 => verbose "Generation",
    }
}
