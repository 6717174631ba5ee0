//! Messages: `msg.post`, `msg.fetch`, `msg.ack`, events `msg.new` and `msg.acked`.

use crs_types::{AccountId, MessageId, Timestamp, Uri};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::Bytes64;

/// Op `msg.post`. The reply is sent only once the message is durable on a majority. Idempotent
/// by (account, sender, id): the same id with the same receiver and body is confirmed again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Post {
    /// Chosen by the sender (UUIDv7).
    #[schemars(with = "String")]
    pub mid: MessageId,
    /// The receiver.
    #[schemars(with = "String")]
    pub to: Uri,
    /// End-to-end encrypted body, at most 64 KiB.
    pub body: Bytes64,
    /// Discard unfetched after this many milliseconds (default and most: 35 days).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
}

/// Reply to `msg.post`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Posted {
    /// The message.
    #[schemars(with = "String")]
    pub mid: MessageId,
    /// On how many nodes it is synced to disk.
    pub copies: u64,
    /// True when this id had been confirmed before.
    #[serde(default)]
    pub duplicate: bool,
}

/// Op `msg.fetch`: the oldest items of the mailbox after a number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fetch {
    /// Only items with a larger number (default 0: from the start).
    #[serde(default)]
    pub after: u64,
    /// Stop before the page would hold more body bytes than this (at least one item is given;
    /// default and most: 64 KiB).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
}

/// Reply to `msg.fetch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fetched {
    /// Items in order of arrival.
    pub items: Vec<Item>,
    /// True when more items follow the last one.
    pub more: bool,
}

/// Something in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Item {
    /// A message for this user.
    Content(Content),
    /// The receiver of an earlier message of this user has acknowledged it.
    Receipt(Receipt),
    /// A kind that this version does not know: clients ignore and acknowledge it.
    #[serde(untagged)]
    Other(Other),
}

impl Item {
    /// Arrival number in the mailbox.
    pub fn n(&self) -> u64 {
        match self {
            Self::Content(content) => content.n,
            Self::Receipt(receipt) => receipt.n,
            Self::Other(other) => other.n,
        }
    }
}

// By hand: a derived fallback would take a malformed item of a known kind for an unknown one,
// which the client would then acknowledge unread.
impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let kind = value.get("kind").and_then(serde_json::Value::as_str);
        match kind {
            Some("content") => Content::deserialize(value).map(Self::Content),
            Some("receipt") => Receipt::deserialize(value).map(Self::Receipt),
            Some(_) | None => Other::deserialize(value).map(Self::Other),
        }
        .map_err(serde::de::Error::custom)
    }
}

/// What every item has, whatever its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Other {
    /// The kind.
    pub kind: String,
    /// Arrival number in this mailbox.
    pub n: u64,
}

/// A message as the receiver gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Content {
    /// Arrival number in this mailbox; rises, is never reused, may have gaps.
    pub n: u64,
    /// The sender's id.
    #[schemars(with = "String")]
    pub mid: MessageId,
    /// The sender.
    #[schemars(with = "String")]
    pub from: Uri,
    /// The sender's account.
    #[schemars(with = "String")]
    pub account: AccountId,
    /// When the server confirmed it (milliseconds since the epoch).
    #[schemars(with = "u64")]
    pub time: Timestamp,
    /// The body as posted.
    pub body: Bytes64,
}

/// A delivery receipt as the sender gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// Arrival number in this mailbox.
    pub n: u64,
    /// The message that was acknowledged.
    #[schemars(with = "String")]
    pub mid: MessageId,
    /// Who acknowledged it.
    #[schemars(with = "String")]
    pub by: Uri,
    /// The acknowledger's account.
    #[schemars(with = "String")]
    pub account: AccountId,
    /// When (milliseconds since the epoch).
    #[schemars(with = "u64")]
    pub time: Timestamp,
}

/// Op `msg.ack`: these items are safe with the client; the server deletes them. Acknowledging
/// content sends a receipt to its sender. Repeating it is harmless. Primary registrations only;
/// a secondary's ack ends its own copy of nothing and is refused with `not-allowed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ack {
    /// Arrival numbers, at most 256.
    pub n: Vec<u64>,
}

/// Reply to `msg.ack`, sent once the deletion and the receipts are durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Acked {
    /// How many items were removed (already removed ones do not count).
    pub removed: u64,
}

/// Event `msg.new`: there are items to fetch. Sent when the mailbox goes from fetched to not
/// fetched, not once per item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct New {
    /// Arrival number of the newest item.
    pub newest: u64,
}

/// Event `msg.acked`: a receipt has arrived in the mailbox (it is also fetched and acknowledged
/// like any item, so a client may ignore this event).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AckedEvent {
    /// The message that was acknowledged.
    #[schemars(with = "String")]
    pub mid: MessageId,
    /// Who acknowledged it.
    #[schemars(with = "String")]
    pub by: Uri,
    /// Arrival number of the receipt in this mailbox.
    pub n: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Item, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn an_item_of_an_unknown_kind_keeps_its_number() {
        let item = parse(r#"{"kind":"poll","n":7,"question":"why"}"#).unwrap();
        assert_eq!(item, Item::Other(Other { kind: "poll".to_owned(), n: 7 }));
        assert_eq!(serde_json::to_string(&item).unwrap(), r#"{"kind":"poll","n":7}"#);
        assert!(parse(r#"{"n":7}"#).is_err(), "every item says its kind");
    }

    #[test]
    fn a_malformed_item_of_a_known_kind_is_an_error() {
        let missing = parse(r#"{"kind":"content","n":7}"#).unwrap_err();
        assert!(missing.to_string().contains("mid"), "{missing}");
    }

    #[test]
    fn known_kinds_survive_the_way_there_and_back() {
        let text = r#"{"kind":"receipt","n":8,"mid":"01932c2e-8f00-7abc-8def-0123456789ab","by":"tel:+46707654321","account":"police","time":1793539202000}"#;
        let item = parse(text).unwrap();
        assert!(matches!(&item, Item::Receipt(receipt) if receipt.n == 8 && item.n() == 8));
        let again = serde_json::to_string(&item).unwrap();
        assert_eq!(parse(&again).unwrap(), item);
    }
}
