//! `show message`: posted and delivered messages per user (C-181 … C-186, Q-25).

use crs_types::AccountId;
use serde::{Deserialize, Serialize};

/// Which users.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Only those of this account.
    pub account: Option<AccountId>,
}

/// The users that have posted or looked for messages, in order.
pub type Reply = Vec<MessageRow>;

crate::row! {
    /// One user.
    pub struct MessageRow {
        /// The user's number.
        uri: String => "URI",
        /// Messages posted, since the account was created.
        post: u64 => "POST",
        /// Of those, delivered to their receivers.
        deliv: u64 => "DELIV",
        /// When the user last looked for messages, in UTC; `never`.
        read: String => "READ",
        /// The user's account.
        account: AccountId => "ACCOUNT",
        /// Messages that wait for the user.
        waiting: u64 => verbose "WAITING",
    }
}
