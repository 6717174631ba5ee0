//! `show relays`: live relay resources (C-221 … C-225).

use serde::{Deserialize, Serialize};

/// Nothing to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {}

/// The resources in order of their ids.
pub type Reply = Vec<RelaysRow>;

crate::row! {
    /// One relay resource.
    pub struct RelaysRow {
        /// Type, in the words of `show relay`.
        kind as "type": String => "TYPE",
        /// Nodes active in it.
        nodes: u32 => "NODES",
        /// When media last passed, in UTC; `never`.
        last_active: String => "LAST ACTIVE",
        /// Allocation id and the session or room it serves.
        identifiers: Vec<String> => "IDENTIFIERS",
        /// Legs with a proved address, of all legs.
        legs: String => verbose "LEGS",
    }
}
