//! Life cycle of a connection: `welcome`, `attach`, `detach`, `bye`, `unregistered`, `time`.

use crs_types::{AccountId, DeviceId, Period, SessionId, Timestamp, Uri};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Event `welcome`: the first frame of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Welcome {
    /// Protocol name and version, `crs.v1`.
    pub protocol: String,
    /// Server software and version.
    pub server: String,
    /// Name of the node.
    pub node: String,
    /// Feature words a client may rely on.
    pub features: Vec<String>,
    /// Limits in force for this connection.
    pub limits: Limits,
    /// Server time (milliseconds since the epoch).
    #[schemars(with = "u64")]
    pub time: Timestamp,
    /// Who the server takes this connection for, from the client certificate.
    #[schemars(with = "String")]
    pub account: AccountId,
    /// The certificate's user.
    #[schemars(with = "String")]
    pub uri: Uri,
    /// Set when the certificate's period has passed: only `upd.get`, `upd.confirm` and `time`
    /// are answered, everything else is refused with `denied` / `update-required`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub update_only: bool,
}

/// Limits announced in `welcome`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Largest frame in bytes.
    pub frame: u64,
    /// Largest message body in bytes after base64 decoding.
    pub body: u64,
    /// Largest offer or answer in bytes after base64 decoding.
    pub offer: u64,
    /// Requests in flight.
    pub in_flight: u64,
    /// The server pings after this much silence (milliseconds).
    pub keep_alive_ms: u64,
    /// A session is kept this long for its client to come back (milliseconds).
    pub resume_ms: u64,
}

/// Op `attach`: registers the certificate's user on this connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attach {
    /// The primary registration rings and owns the message queue; up to five secondary ones.
    pub role: Role,
    /// This device. The same device attaching again replaces its own earlier registration.
    #[schemars(with = "String")]
    pub device: DeviceId,
    /// What the client says about itself.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::object::read"
    )]
    #[schemars(with = "Option<ClientInfo>")]
    pub client_info: Option<ClientInfo>,
    /// Sessions this device was in before it lost its connection.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub resume: Vec<SessionId>,
}

/// Role of a registration (C-331, Q-08).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Rings, owns the queue; one per user.
    Primary,
    /// Desktop, second phone; at most five per user.
    Secondary,
}

/// What a client says about itself (C-244…C-251).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClientInfo {
    /// Client program and version, at most 64 bytes.
    #[serde(default)]
    pub version: String,
    /// Operating system, at most 64 bytes.
    #[serde(default)]
    pub os: String,
    /// Its version, at most 64 bytes.
    #[serde(default)]
    pub os_version: String,
    /// The client's clock (milliseconds since the epoch).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
    /// When the enrolment code was scanned (milliseconds since the epoch).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan_time: Option<u64>,
}

/// Reply to `attach`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attached {
    /// Always `attached`.
    pub state: String,
    /// This connection's id, as `trace` prints it.
    pub connection: u64,
    /// The registration's role.
    pub role: Role,
    /// Items waiting in the mailbox (messages and receipts).
    pub waiting: u64,
    /// Sessions that were resumed, as they stand now.
    #[serde(default)]
    pub sessions: Vec<super::call::CallState>,
    /// Key updates on offer.
    #[serde(default)]
    pub updates: Vec<super::keys::UpdateOffer>,
}

/// Why an attach was denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeniedReason {
    /// The user is not in the account's current update.
    NotListed,
    /// The user is blocked by the operator.
    Blacklisted,
    /// The account has no current update on this server.
    AccountNotLoaded,
    /// Five secondaries are attached already.
    TooMany,
    /// The certificate's period is over: fetch and confirm the key update first.
    UpdateRequired,
    /// The certificate's generation was revoked, or its CA retired.
    Revoked,
    /// The node is draining; try another.
    NodeDrain,
    /// Anything else; the server's log says more.
    NotAuthorised,
}

/// Event `unregistered`: the registration ended, the connection may go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unregistered {
    /// Why.
    pub reason: UnregisteredReason,
}

/// Why a registration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnregisteredReason {
    /// The client detached or closed.
    Client,
    /// Another connection took the registration over.
    Replaced,
    /// `crs-cli purge`.
    Purged,
    /// The operator blocked the user.
    Blacklisted,
    /// The account was deleted.
    AccountDeleted,
    /// The user is not in the account's update file any more.
    NotListed,
    /// No answer to a keep-alive ping.
    KeepaliveTimeout,
    /// The certificate outlived its period, or its generation was revoked or its CA retired.
    UpdateRequired,
    /// The node is draining; reconnect elsewhere or later.
    NodeDrain,
    /// An error inside the server.
    Error,
}

/// Op `detach`: ends the registration and keeps the connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Detach {}

/// Op `bye`: ends the connection after the reply.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bye {}

/// Op `time`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TimeRequest {}

/// Reply to `time`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TimeReply {
    /// Server time (milliseconds since the epoch).
    #[schemars(with = "u64")]
    pub time: Timestamp,
    /// The key period that `time` lies in.
    #[schemars(with = "String")]
    pub period: Period,
}

fn is_false(value: &bool) -> bool {
    !value
}
