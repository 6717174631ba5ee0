//! What goes into a session and what comes out of it.

use std::time::Duration;

use crs_types::{AccountId, ConnectionId, DeviceId, LegId, Mono, SessionId, Timestamp, Uri};
use serde::{Deserialize, Serialize};

use super::detail::DetailWord;
use crate::wire::call::{CallState, HangupReason, Invite, SessionState, Stage, Who};
use crate::wire::relay::{Leg, RelayKind};
use crate::wire::{Bytes64, ErrorBody};

/// Most devices an invite is ever forked to; devices beyond it are not rung.
pub const BRANCHES_MAX: usize = 16;

/// Timers of all sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// No device has rung or answered, and no push is under way.
    pub unanswered: Duration,
    /// The same while a push may still bring a device.
    pub unanswered_push: Duration,
    /// From the first ringing to the answer.
    pub ringing: Duration,
    /// No media packet in either direction.
    pub media_silence: Duration,
    /// Between two refreshes of the legs, which keep those alive that are not bound yet; the relay
    /// is asked about them, too, so that legs it has lost can be had anew.
    pub refresh: Duration,
    /// A party's signalling is gone.
    pub client_lost: Duration,
    /// An ended session is remembered.
    pub kept_after_end: Duration,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            unanswered: Duration::from_secs(20),
            unanswered_push: Duration::from_secs(45),
            ringing: Duration::from_secs(90),
            media_silence: Duration::from_secs(60),
            refresh: Duration::from_secs(20),
            client_lost: Duration::from_secs(30),
            kept_after_end: Duration::from_secs(30),
        }
    }
}

/// A device and the connection it is attached by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The user's account.
    pub account: AccountId,
    /// The user.
    pub uri: Uri,
    /// The device.
    pub device: DeviceId,
    /// Its connection, unique within one run of one node.
    pub connection: ConnectionId,
}

/// Who takes part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parties {
    /// The caller's account.
    pub caller_account: AccountId,
    /// The caller.
    pub caller: Uri,
    /// The caller's device.
    pub caller_device: DeviceId,
    /// The called user's account; absent when the URI resolves nowhere.
    pub callee_account: Option<AccountId>,
    /// The called user.
    pub callee: Uri,
}

/// One end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The initiating client.
    Caller,
    /// The called client.
    Callee,
}

/// What the URI of an invite resolved to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callee {
    /// A user of this pool.
    Found {
        /// The user's account.
        account: AccountId,
        /// The devices attached now, without stand-by registrations.
        devices: Vec<Endpoint>,
        /// A push goes out that may bring more.
        push: bool,
    },
    /// Nowhere, or to a user who may not be reached by this caller: both look the same.
    NotFound,
    /// The call cannot be made now.
    Refused {
        /// The user's account.
        account: AccountId,
        /// Why.
        why: Refused,
    },
}

/// Why an invite is ended at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The called user is inviting this caller at the same moment: answer that call instead.
    Glare,
    /// Caller or callee has too many sessions.
    UserSessions,
    /// The node drains.
    NodeDrain,
}

/// Names one request to the shell, which keeps where its reply goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplyTag(pub u64);

/// A request of a client about an existing session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallRequest {
    /// The invite again.
    Invite(Invite),
    /// `call.ringing`
    Ringing,
    /// `call.answer`
    Answer(Bytes64),
    /// `call.hangup`
    Hangup {
        /// Why.
        reason: HangupReason,
        /// A word of detail.
        detail: Option<DetailWord>,
    },
    /// `relay.alloc`
    Alloc,
    /// `relay.refresh`
    Refresh(LegId),
    /// `relay.free`
    Free(LegId),
}

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A client asks.
    Request {
        /// Who.
        from: Endpoint,
        /// To be given back with the reply.
        tag: ReplyTag,
        /// What.
        request: CallRequest,
    },
    /// A device of a party has attached.
    Attached {
        /// The device.
        device: Endpoint,
        /// It named this session in `resume`; its attach reply will carry the state.
        resumes: bool,
    },
    /// A device's registration or connection has ended.
    Lost {
        /// The device and the connection that ended.
        device: Endpoint,
    },
    /// The relay has made both legs.
    RelayReady {
        /// The caller's leg.
        caller: Leg,
        /// The callee's leg.
        callee: Leg,
    },
    /// The relay could not make them.
    RelayFailed(RelayFailure),
    /// The relay has dropped the legs by itself.
    RelayLost,
    /// The answer to [`Effect::QueryMedia`].
    Media(MediaReport),
    /// The operator or the node ends it.
    End {
        /// Why.
        reason: HangupReason,
        /// A word of detail.
        detail: Option<DetailWord>,
    },
    /// [`super::Session::next_deadline`] has passed.
    Tick,
}

/// Why there is no relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayFailure {
    /// A limit of `crs-relay.conf`.
    Limit,
    /// The relay did not answer.
    Unavailable,
}

/// What the relay has seen of both legs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaReport {
    /// The caller's leg.
    pub caller: LegReport,
    /// The callee's leg.
    pub callee: LegReport,
}

/// Whether media can be sent to a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegPath {
    /// No address has proved itself yet.
    NeverBound,
    /// Bound to an address.
    Bound,
    /// Its address has given no consent for 30 s (RFC 7675), and no other has proved itself since.
    LostSince(Mono),
}

/// What the relay has seen of one leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegReport {
    /// Whether media can be sent to it.
    pub path: LegPath,
    /// When the last media packet came from it.
    pub last_packet: Option<Mono>,
}

/// What the shell has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Answer a request.
    Reply {
        /// Which.
        tag: ReplyTag,
        /// With what.
        result: Result<CallReply, ErrorBody>,
    },
    /// Send the event `call.state`.
    Notify {
        /// To this connection.
        to: ConnectionId,
        /// The state as that party sees it.
        state: Box<CallState>,
    },
    /// Make a relay of two legs; answer with `RelayReady` or `RelayFailed`.
    AllocRelay(RelayKind),
    /// Keep unbound legs alive.
    RefreshRelay,
    /// Free the relay.
    FreeRelay,
    /// Ask the relay what it has seen; answer with `Media`.
    QueryMedia,
    /// State changed: for trace, metrics and the stored record.
    Changed(Summary),
    /// The session may be forgotten. Nothing follows.
    Expired,
}

/// A successful reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallReply {
    /// The state as the asking party sees it.
    State(Box<CallState>),
    /// Its leg.
    Leg(Leg),
    /// Nothing more to say.
    Done,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// `ResponderNotFound`, `ResponderNotConnected` or `Hangup`.
    pub state: SessionState,
    /// Why.
    pub reason: HangupReason,
    /// Who.
    pub who: Who,
    /// A word of detail.
    pub detail: Option<DetailWord>,
    /// Before or after the answer.
    pub stage: Stage,
}

/// A session as `show session` and `trace session` print it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The session.
    pub id: SessionId,
    /// Who takes part.
    pub parties: Parties,
    /// When it began.
    pub since: Timestamp,
    /// When the call was established.
    pub talk_since: Option<Timestamp>,
    /// Where it stands.
    pub state: SessionState,
    /// How it ended.
    pub end: Option<End>,
    /// The device that answered.
    pub answered_by: Option<DeviceId>,
    /// Which relay it asked for.
    pub media: RelayKind,
}
