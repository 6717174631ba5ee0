//! `purge client <account-id> <uri>`: closes the client's connections; it comes back by itself
//! (C-305, D-18).

use crs_types::{AccountId, Uri};
use serde::{Deserialize, Serialize};

/// Whose connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The client's account.
    pub account: AccountId,
    /// The client.
    pub uri: Uri,
}

crate::record! {
    /// The connections are closed.
    pub struct Reply {
        /// The account.
        account: AccountId => "ACCOUNT",
        /// The client's number.
        uri: String => "URI",
        /// Connections closed.
        closed: u64 => "CLOSED",
    }
}
