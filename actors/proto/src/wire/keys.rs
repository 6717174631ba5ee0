//! Monthly keys: event `upd.offer`, `upd.get`, `upd.confirm` (C-151, Q-35).

use crs_types::{Generation, Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Bytes64;

/// One period on offer. Event `upd.offer` carries `{"updates":[…]}` of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpdateOffer {
    /// The month.
    #[schemars(with = "String")]
    pub period: Period,
    /// Serial of the update file it comes from.
    pub serial: u64,
    /// Generation of the keys.
    #[schemars(with = "u32")]
    pub generation: Generation,
    /// True when this client has confirmed it before.
    pub confirmed: bool,
}

/// Event `upd.offer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Offers {
    /// Current and next month, where the account has them.
    pub updates: Vec<UpdateOffer>,
}

/// Op `upd.get`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpdateGet {
    /// Which month.
    #[schemars(with = "String")]
    pub period: Period,
}

/// Reply to `upd.get`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpdatePackage {
    /// The month.
    #[schemars(with = "String")]
    pub period: Period,
    /// Serial of the update file it comes from.
    pub serial: u64,
    /// Generation of the keys.
    #[schemars(with = "u32")]
    pub generation: Generation,
    /// The user's package, sealed by the CMS to the user's enrolment key.
    pub package: Bytes64,
}

/// Op `upd.confirm`: the client has verified and stored the period's keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpdateConfirm {
    /// Which month.
    #[schemars(with = "String")]
    pub period: Period,
    /// Serial that was stored.
    pub serial: u64,
}
