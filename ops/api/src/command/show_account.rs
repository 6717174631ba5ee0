//! `show account`: which process has loaded which accounts (C-202 … C-206).

use crs_types::AccountId;
use serde::{Deserialize, Serialize};

/// Which accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Only this one; an error when it is not loaded.
    pub account: Option<AccountId>,
}

/// One row for each module that handles client connections.
pub type Reply = Vec<ModuleRow>;

crate::row! {
    /// One module.
    pub struct ModuleRow {
        /// The node, as in crs-local.conf.
        server: String => "SERVER",
        /// The module, such as `app:attach`.
        module: String => "MODULE",
        /// Its process.
        pid: u32 => "PID",
        /// Accounts it has loaded.
        loaded_accounts: Vec<String> => "LOADED ACCOUNTS",
    }
}
