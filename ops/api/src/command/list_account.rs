//! `list account`: ids, paths and shared secrets (C-103, C-287 … C-290).

use crs_types::AccountId;
use serde::{Deserialize, Serialize};

use crate::SecretText;

/// How much to show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Show secrets instead of masking them; leaves an audit line.
    pub reveal: bool,
}

/// The accounts in order of their ids.
pub type Reply = Vec<AccountRow>;

crate::row! {
    /// One account.
    pub struct AccountRow {
        /// Its id.
        id: AccountId => "ID",
        /// Directory of its configuration and update files.
        path: String => "path",
        /// The secret it shares with its CMS, masked unless revealed.
        shared_secret: SecretText => "shared secret",
        /// Fingerprint of the pinned CMS key, or `not pinned yet`.
        cms_key: String => verbose "CMS key",
    }
}
