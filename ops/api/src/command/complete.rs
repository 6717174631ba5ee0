//! `complete`: live values for tab completion; hidden, quick, and silent on failure.

use crs_types::AccountId;
use serde::{Deserialize, Serialize};

use crate::view::{Column, Row};

/// Most values in one answer: more help nobody.
pub const VALUES_MAX: usize = 500;

/// What kind of value, and what it begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The kind of value.
    pub kind: Kind,
    /// Only values that begin with this.
    pub prefix: String,
}

/// Kinds of live values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Account ids.
    Account,
    /// Numbers of an account: attached ones first, then those of its update file in force.
    Uri(AccountId),
    /// Numbers of an account that are attached: only they can be purged.
    Attached(AccountId),
    /// Numbers of all accounts, for what a number is enough for.
    AnyUri,
    /// Blocked numbers of an account.
    Blacklisted(AccountId),
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// The value as it is typed.
    pub value: String,
}

/// The values, at most [`VALUES_MAX`].
pub type Reply = Vec<Value>;

impl Row for Value {
    const COLUMNS: &'static [Column] = &[Column { key: "value", title: "VALUE", verbose: false }];
}
