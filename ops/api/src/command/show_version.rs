//! `show version`: the installed version (C-192).

use serde::{Deserialize, Serialize};

/// Nothing to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {}

/// One row for each node.
pub type Reply = Vec<VersionRow>;

crate::row! {
    /// One node.
    pub struct VersionRow {
        /// The node.
        server: String => "SERVER",
        /// Its software's version.
        version: String => "VERSION",
        /// Version of the admin protocol it speaks.
        admin_protocol: u32 => verbose "ADMIN PROTOCOL",
        /// Seconds since it started.
        uptime: u64 => verbose "UPTIME",
    }
}
