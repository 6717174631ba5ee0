//! What a client tells its application.

use crs_proto::wire::call::HangupReason;
use crs_proto::wire::life::{DeniedReason, UnregisteredReason};
use crs_types::{AccountId, MessageId, Period, SessionId, Timestamp, Uri};
use serde::{Serialize, Serializer};

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
    /// The connection was lost or could not be made.
    Disconnected {
        /// Why, for a person.
        why: String,
        /// When the client tries again by itself (milliseconds from now); `None`: not any more.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_ms: Option<u64>,
    },
    /// The server will not register this client; it tries again slowly.
    Denied {
        /// Why.
        reason: DeniedReason,
        /// The server's sentence.
        text: String,
    },
    /// The registration ended. After `replaced` the client does not connect again by itself, after
    /// `blacklisted`, `account-deleted` and `not-listed` it tries slowly; its calls have ended.
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
        #[serde(serialize_with = "number")]
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
        /// The error code of the wire, or `untrusted`, `contact-changed`.
        code: String,
        /// For a person.
        text: String,
    },
    /// A contact is named as a user of another account than it was known by: its messages are
    /// withheld and its calls refused until [`crate::Client::accept_contact`]. Told once in a run.
    ContactChanged {
        /// The contact.
        uri: Uri,
        /// The account it was known by.
        known: AccountId,
        /// The account that is named now.
        named: AccountId,
    },
    /// The profile cannot be written, as on a full disk: no message is taken or acknowledged until
    /// it can. Told once for each reason; nothing is lost, all is tried again.
    StorageFailed {
        /// Why, for a person.
        why: String,
    },
    /// Somebody calls; the offer is verified.
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
    #[serde(serialize_with = "number")]
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
    #[serde(serialize_with = "number")]
    pub from: Uri,
    /// The caller's account.
    pub account: AccountId,
}

/// A number as people read it, without `tel:`; the wire alone has the whole URI.
fn number<S: Serializer>(uri: &Uri, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_form_in_all_events() {
        let uri = Uri::parse("+46701").unwrap();
        let mid = MessageId::from_parts(Timestamp::from_millis(0), [1; 10]);
        let session = SessionId::from_parts(Timestamp::from_millis(0), [1; 10]);
        let (account, time) = (AccountId::parse("acme").unwrap(), Timestamp::from_millis(0));
        let events = [
            (Event::Receipt { seq: 1, mid, by: uri.clone(), time }, "by"),
            (
                Event::Incoming(IncomingCall {
                    session,
                    from: uri.clone(),
                    account: account.clone(),
                }),
                "from",
            ),
            (
                Event::Message(ReceivedMessage {
                    seq: 1,
                    mid,
                    from: uri,
                    account,
                    time,
                    content: Ok(vec![]),
                }),
                "from",
            ),
        ];
        for (event, field) in events {
            let value = serde_json::to_value(&event).unwrap();
            assert_eq!(value[field], "+46701", "{value}");
        }
    }
}
