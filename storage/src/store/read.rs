//! What readers get: pages of a mailbox, counters, per-user records.

use crs_types::{AccountId, DeviceId, MessageId, Timestamp, Uri};

use crate::command::mailbox::rows::UpdateFlag;
use crate::command::{Body, UserKey};

/// Items of a mailbox in order of arrival.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The items.
    pub items: Vec<MailItem>,
    /// True when more follow.
    pub more: bool,
}

/// Something in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailItem {
    /// A message.
    Content {
        /// Arrival number; rises, is never reused.
        n: u64,
        /// The sender's id.
        mid: MessageId,
        /// The sender.
        from: Uri,
        /// The sender's account.
        account: AccountId,
        /// When it was posted.
        time: Timestamp,
        /// The body.
        body: Body,
    },
    /// A receipt.
    Receipt {
        /// Arrival number; rises, is never reused.
        n: u64,
        /// The message that was acknowledged.
        mid: MessageId,
        /// Who acknowledged it.
        by: Uri,
        /// Their account.
        account: AccountId,
        /// When.
        time: Timestamp,
    },
}

/// What waits for a user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Messages.
    pub messages: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Receipts.
    pub receipts: u64,
    /// Number of the newest item ever.
    pub newest: u64,
}

/// What is stored about a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserView {
    /// When the user last looked for messages.
    pub read: Option<Timestamp>,
    /// Key updates offered and confirmed, oldest period first.
    pub updates: Vec<UpdateFlag>,
    /// What the user's devices said about themselves.
    pub clients: Vec<ClientInfo>,
}

/// What one device said about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// The device.
    pub device: DeviceId,
    /// As it was put.
    pub info: Body,
    /// When.
    pub time: Timestamp,
}

/// A line of `show message` (C-181…C-186).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserCounters {
    /// The user.
    pub user: UserKey,
    /// POST: messages posted by the user.
    pub posted: u64,
    /// DELIV: those of them that were acknowledged by their receivers.
    pub delivered: u64,
    /// READ: when the user last looked for messages.
    pub read: Option<Timestamp>,
    /// Messages that wait for the user.
    pub waiting: u64,
    /// Bytes of their bodies.
    pub waiting_bytes: u64,
}
