//! `show system`: modules, processes and slots (C-187 … C-191, Q-37).

use serde::{Deserialize, Serialize};

/// Nothing to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {}

/// One row for each module of each node.
pub type Reply = Vec<SystemRow>;

crate::row! {
    /// One module.
    pub struct SystemRow {
        /// The node.
        server: String => "SERVER",
        /// `app:<module>`.
        process: String => "PROCESS",
        /// Its process.
        pid: u32 => "PID",
        /// Ranges of slots it handles, such as `0-16383`.
        slots: String => "SLOTS",
    }
}
