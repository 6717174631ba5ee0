//! `lookup`: where a user is and which keys to encrypt to.

use crs_types::{AccountId, Generation, Period, Uri};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Bytes64;

/// Op `lookup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lookup {
    /// The user.
    #[schemars(with = "String")]
    pub uri: Uri,
}

/// Reply to `lookup`. Users that do not exist, are blocked, unlisted, or in a domain that is not
/// connected are all the same `not-found`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Found {
    /// The user.
    #[schemars(with = "String")]
    pub uri: Uri,
    /// The user's account.
    #[schemars(with = "String")]
    pub account: AccountId,
    /// True when at least one device is attached.
    pub attached: bool,
    /// Keys of the current period and of others that are still in use, newest first. Clients
    /// verify them against the CAs that their own CMS named.
    pub keys: Vec<PublicKeys>,
}

/// A user's public keys of one period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublicKeys {
    /// The month.
    #[schemars(with = "String")]
    pub period: Period,
    /// Generation of the keys.
    #[schemars(with = "u32")]
    pub generation: Generation,
    /// Signing certificate (X.509 DER): the TLS certificate of the period.
    pub sign_cert: Bytes64,
    /// Encapsulation certificate: X-Wing public key, signed by the account's CA
    /// (docs/protocol.md, *Keys*).
    pub kem_cert: Bytes64,
}
