//! The events of `crs-cli trace`, one type per element (C-325…C-383). Rendering is elsewhere.

use crs_proto::wire::call::{HangupReason, SessionState, Stage, Who};
use crs_proto::wire::life::Role;
use crs_types::{AccountId, ClientAddr, ConnectionId, MessageId, SessionId, Timestamp, Uri};

/// One trace event. None of them ever holds content or keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TraceEvent {
    /// `trace attach`.
    Attach(AttachEvent),
    /// `trace session`.
    Session(SessionEvent),
    /// `trace message`.
    Message(MessageEvent),
    /// `trace connection`.
    Connection(ConnectionEvent),
    /// `trace event`.
    Event(DebugEvent),
    /// `trace object`.
    Object(ObjectEvent),
    /// `trace statistics`.
    Statistics(StatisticsEvent),
}

/// A registration began, ended or was denied (C-327…C-337).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachEvent {
    /// When.
    pub time: Timestamp,
    /// Connection the client attached with.
    pub connection: ConnectionId,
    /// Primary or secondary.
    pub role: Role,
    /// The user.
    pub uri: Uri,
    /// The user's account.
    pub account: AccountId,
    /// Client address of the TLS connection.
    pub addr: ClientAddr,
    /// What happened.
    pub state: AttachState,
    /// Text about the state: the reason of a denial or of the end.
    pub description: String,
}

/// State column of `trace attach` (C-336).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachState {
    /// The client is attached.
    Registered,
    /// The registration ended.
    Unregistered,
    /// The attach was refused.
    Denied,
}

/// A session changed its state (C-338…C-344).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEvent {
    /// When.
    pub time: Timestamp,
    /// The initiator.
    pub caller: Uri,
    /// The called user.
    pub callee: Uri,
    /// The new state.
    pub state: SessionState,
    /// With state hangup: why and who.
    pub end: Option<(HangupReason, Who)>,
    /// With state hangup: before or after the answer; printed with `--verbose`.
    pub stage: Option<Stage>,
    /// With state hangup: the detail word; printed with `--verbose`.
    pub detail: Option<String>,
    /// The client's account.
    pub account: AccountId,
    /// The session.
    pub session: SessionId,
}

/// A message took a step (C-345…C-357).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageEvent {
    /// When.
    pub time: Timestamp,
    /// The sender.
    pub from: Uri,
    /// The receiver.
    pub to: Uri,
    /// The step.
    pub state: MessageState,
    /// Where the receiver is.
    pub account: MessageTrack,
    /// The message.
    pub id: MessageId,
}

/// State column of `trace message` (C-350…C-355).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageState {
    /// The receiver's number was not found.
    NotFound,
    /// Content received (and durable).
    PostedContent,
    /// The receiver's acknowledgement received (and durable).
    PostedAck,
    /// Fetched by the receiver.
    Delivered,
    /// Content passed to another instance.
    ForwardContent,
    /// Acknowledgement passed to another instance.
    ForwardAck,
}

/// Account column of `trace message` (C-356).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageTrack {
    /// The receiver is on this instance.
    Account(AccountId),
    /// On another instance of the pool.
    Internal,
    /// On a peered instance.
    External,
}

/// A client object changed (C-358…C-361).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectEvent {
    /// When.
    pub time: Timestamp,
    /// The user it is about.
    pub from: Uri,
    /// The user's account.
    pub account: AccountId,
    /// What happened, such as `update client_token` or `confirm update 2026-11`.
    pub event: String,
}

/// A debug event outside the other elements (C-362…C-366); its type prints as `dbg`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebugEvent {
    /// When.
    pub time: Timestamp,
    /// Logging module.
    pub module: String,
    /// Log text.
    pub information: String,
}

/// A connection changed its state (C-367…C-378).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionEvent {
    /// When.
    pub time: Timestamp,
    /// The connection.
    pub id: ConnectionId,
    /// Who is at the other end, as far as known.
    pub user: TraceUser,
    /// Remote address.
    pub addr: ClientAddr,
    /// The new state.
    pub state: ConnectionState,
}

/// User-Type and User columns of `trace connection` (C-370, C-371).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TraceUser {
    /// Not authenticated yet, or never.
    Unknown,
    /// A client; prints as `<URI>@<Account>`.
    Client {
        /// The user.
        uri: Uri,
        /// The account.
        account: AccountId,
    },
    /// A remote admin.
    Admin {
        /// The admin's name.
        name: String,
    },
}

/// State column of `trace connection` (C-375…C-378).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// TCP established.
    Connected,
    /// TLS handshake finished.
    Authenticated,
    /// WebSocket upgrade finished.
    Negotiated,
    /// TCP closed.
    Closed,
}

/// Something was counted in the statistics (C-379…C-382).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatisticsEvent {
    /// When.
    pub time: Timestamp,
    /// Name of the counter.
    pub kind: &'static str,
    /// The number concerned.
    pub uri: Uri,
    /// Its account.
    pub account: AccountId,
}

impl TraceEvent {
    /// When it happened.
    pub fn time(&self) -> Timestamp {
        match self {
            Self::Attach(e) => e.time,
            Self::Session(e) => e.time,
            Self::Message(e) => e.time,
            Self::Connection(e) => e.time,
            Self::Event(e) => e.time,
            Self::Object(e) => e.time,
            Self::Statistics(e) => e.time,
        }
    }
}
