//! `create account <account-id>` (C-101, C-267 … C-273).

use crs_types::AccountId;
use serde::{Deserialize, Serialize};

use crate::SecretText;

/// The new account. With neither secret nor length, 16 random bytes are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its id.
    pub account: AccountId,
    /// A secret agreed beforehand, base64; excludes `bytes`.
    pub secret: Option<SecretText>,
    /// Length of the secret to make, in bytes.
    pub bytes: Option<u16>,
    /// The CMS's public key (Ed25519, base64 or hex of 32 bytes), pinned before the first apply.
    pub cms_key: Option<String>,
}

crate::record! {
    /// The account exists and is loaded.
    pub struct Reply {
        /// Its id.
        id: AccountId => "ID",
        /// Directory of its configuration and update files.
        path: String => "path",
        /// The secret, when it was made here; masked when the operator gave it.
        shared_secret: SecretText => "shared secret",
        /// Fingerprint of the pinned CMS key, or `not pinned yet`.
        cms_key: String => verbose "CMS key",
    }
}
