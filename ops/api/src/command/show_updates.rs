//! `show updates`: the monthly updates of this month and the next (C-236 … C-239).

use crs_types::AccountId;
use serde::{Deserialize, Serialize};

/// What stands where no update was applied (C-238).
pub const NOT_AVAILABLE: &str = "Not Available";

/// Nothing to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {}

/// One row for each account.
pub type Reply = Vec<UpdatesRow>;

crate::row! {
    /// One account.
    pub struct UpdatesRow {
        /// Its id.
        account: AccountId => "Account",
        /// When the CMS made this month's update, in UTC, or [`NOT_AVAILABLE`].
        current_month: String => "Current Month",
        /// The same for the next month.
        next_month: String => "Next Month",
        /// Serial number of this month's update, 0 when there is none.
        current_serial: u64 => verbose "Current Serial",
        /// Users in this month's update.
        users: u64 => verbose "Users",
    }
}
