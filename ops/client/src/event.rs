//! What a client tells its application.

use crs_proto::wire::call::HangupReason;
use crs_proto::wire::life::{DeniedReason, UnregisteredReason};
use crs_types::{AccountId, MessageId, Period, SessionId, Timestamp, Uri};
use serde::Serialize;

/// Something happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Connected and registered.
    Attached {
        /// The server's node name.
        node: String,
        /// Items waiting in the mailbox.
        waiting: u64,
    },
    /// The connection was lost or could not be made; the client tries again by itself.
    Disconnected {
        /// Why, for a person.
        why: String,
        /// When it tries again (milliseconds from now).
        retry_ms: u64,
    },
    /// The server will not register this client; it tries again slowly.
    Denied {
        /// Why.
        reason: DeniedReason,
        /// The server's sentence.
        text: String,
    },
    /// The registration ended. After `replaced`, `blacklisted` and `account-deleted` the client
    /// does not connect again by itself.
    Unregistered {
        /// Why.
        reason: UnregisteredReason,
    },
    /// A message for the application. It is on disk here; call [`crate::Client::done`] with its
    /// `seq` once it needs not be handed out again.
    Message(ReceivedMessage),
    /// A receiver has acknowledged a message of ours.
    Receipt {
        /// Number of this entry in the local inbox, for [`crate::Client::done`].
        seq: u64,
        /// The message.
        mid: MessageId,
        /// Who acknowledged.
        by: Uri,
        /// When.
        time: Timestamp,
    },
    /// A message of ours is durable at the server.
    Posted {
        /// The message.
        mid: MessageId,
        /// On how many nodes.
        copies: u64,
    },
    /// A message of ours was refused for good.
    PostFailed {
        /// The message.
        mid: MessageId,
        /// The error code of the wire, or `no-key`, `untrusted`.
        code: String,
        /// For a person.
        text: String,
    },
    /// Somebody calls.
    Incoming(IncomingCall),
    /// A call that was announced by `Incoming` ended before it was answered here.
    CallEnded {
        /// The session.
        session: SessionId,
        /// Why, such as that another device of the same user answered.
        reason: Option<HangupReason>,
    },
    /// Keys of a month were fetched, verified, stored and confirmed.
    Updated {
        /// The month.
        period: Period,
    },
}

/// A message as the application gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReceivedMessage {
    /// Number of this entry in the local inbox.
    pub seq: u64,
    /// The sender's id.
    pub mid: MessageId,
    /// The sender.
    pub from: Uri,
    /// The sender's account.
    pub account: AccountId,
    /// When the server confirmed it.
    pub time: Timestamp,
    /// The content, or why it cannot be read (unknown key, bad signature…).
    pub content: Result<Vec<u8>, String>,
}

/// A call that rings here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IncomingCall {
    /// The session.
    pub session: SessionId,
    /// The caller.
    pub from: Uri,
    /// The caller's account.
    pub account: AccountId,
}
