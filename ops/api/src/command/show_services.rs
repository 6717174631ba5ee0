//! `show services`: status of the services (C-240 … C-243, Q-56).

use serde::{Deserialize, Serialize};

/// Nothing to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {}

/// One row for each service of each node.
pub type Reply = Vec<ServiceRow>;

/// A service works or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Works.
    Active,
    /// Does not.
    Inactive,
}

crate::row! {
    /// One service.
    pub struct ServiceRow {
        /// The node.
        server: String => "Server",
        /// `crs`, `crs_relay`, `store_control`, `store_mailbox` or `store_backup`.
        service: String => "Service",
        /// Whether it works.
        status: Status => "Status",
    }
}
