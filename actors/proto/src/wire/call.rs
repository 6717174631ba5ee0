//! Calls: `call.invite`, `call.ringing`, `call.answer`, `call.hangup`, event `call.state`.

use crs_types::{AccountId, DeviceId, SessionId, Uri};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Bytes64;

/// Op `call.invite`. Repeating it with the same session id is harmless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Invite {
    /// Chosen by the caller.
    #[schemars(with = "String")]
    pub session: SessionId,
    /// Whom to call.
    #[schemars(with = "String")]
    pub to: Uri,
    /// End-to-end offer, opaque to the server.
    pub offer: Bytes64,
    /// Which relay the call needs.
    #[serde(default)]
    pub media: super::relay::RelayKind,
}

/// Op `call.ringing`: this device rings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ringing {
    /// The session.
    #[schemars(with = "String")]
    pub session: SessionId,
}

/// Op `call.answer`: this device takes the call; the first answer wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// The session.
    #[schemars(with = "String")]
    pub session: SessionId,
    /// End-to-end answer, opaque to the server.
    pub answer: Bytes64,
}

/// Op `call.hangup`: ends, declines or cancels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hangup {
    /// The session.
    #[schemars(with = "String")]
    pub session: SessionId,
    /// Why; a client may use `normal`, `busy`, `declined`, `cancelled`, `media-failed`,
    /// `incompatible` and `error`.
    #[serde(default)]
    pub reason: HangupReason,
    /// A word of detail from the documented list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Event `call.state`, also the reply to every call op and part of a resume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallState {
    /// The session.
    #[schemars(with = "String")]
    pub session: SessionId,
    /// Where it stands.
    pub state: SessionState,
    /// The caller.
    #[schemars(with = "String")]
    pub from: Uri,
    /// The caller's account.
    #[schemars(with = "String")]
    pub from_account: AccountId,
    /// The called user.
    #[schemars(with = "String")]
    pub to: Uri,
    /// The offer; present towards a called device with state `invite`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<Bytes64>,
    /// The answer; present towards the caller with state `talk`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Bytes64>,
    /// The device that answered; with state `talk`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub device: Option<DeviceId>,
    /// Which relay the call needs.
    pub media: super::relay::RelayKind,
    /// With state `hangup`: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<HangupReason>,
    /// With state `hangup`: who ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<Who>,
    /// With state `hangup`: a word of detail from the documented list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// With state `hangup`: before or after the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
}

/// The six states of a session (C-175…C-180).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SessionState {
    /// Invite sent to the called party.
    Invite,
    /// The called party rings.
    Ringing,
    /// Established.
    Talk,
    /// The server cannot locate the responder.
    ResponderNotFound,
    /// The responder is not on-line.
    ResponderNotConnected,
    /// Ended, with reason and who.
    Hangup,
}

/// Why a session ended.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HangupReason {
    /// An ordinary end.
    #[default]
    Normal,
    /// The called user is in another call.
    Busy,
    /// The called user declined.
    Declined,
    /// The caller gave up before the answer.
    Cancelled,
    /// Nobody answered in time.
    NoAnswer,
    /// Another device of the same user answered.
    AnsweredElsewhere,
    /// Not allowed between these parties.
    NotAllowed,
    /// No media in both directions for 60 s.
    MediaTimeout,
    /// The relay has reached a configured limit.
    RelayLimit,
    /// The link to the other pool is down.
    PeerLinkDown,
    /// Replaced by another registration.
    Replaced,
    /// The server is shutting down.
    Shutdown,
    /// Signalling was lost and not resumed in 30 s.
    ClientLost,
    /// The media path never came up, or one way only.
    MediaFailed,
    /// The clients found no common codec or profile.
    Incompatible,
    /// A configured limit of sessions.
    Capacity,
    /// The operator ended it.
    Operator,
    /// Something else went wrong.
    Error,
}

impl HangupReason {
    /// A client may give it (docs/protocol.md, *Calls*).
    pub const fn is_for_clients(self) -> bool {
        self.rules().0
    }

    /// Of several devices' reasons the caller is told the one of the highest rank.
    pub(crate) const fn rank(self) -> u8 {
        self.rules().1
    }

    /// Who ended it for a device that rang and rings no more while others go on.
    pub(crate) const fn of_device(self) -> Who {
        self.rules().2
    }

    /// For clients, rank, and who ends it for one device.
    const fn rules(self) -> (bool, u8, Who) {
        match self {
            Self::Normal => (true, 0, Who::Callee),
            Self::Busy => (true, 3, Who::Callee),
            Self::Declined => (true, 0, Who::Callee),
            Self::Cancelled => (true, 0, Who::Callee),
            Self::NoAnswer => (false, 0, Who::Callee),
            Self::AnsweredElsewhere => (false, 0, Who::Crs),
            Self::NotAllowed => (false, 0, Who::Callee),
            Self::MediaTimeout => (false, 0, Who::Callee),
            Self::RelayLimit => (false, 0, Who::Callee),
            Self::PeerLinkDown => (false, 0, Who::Callee),
            Self::Replaced => (false, 0, Who::Callee),
            Self::Shutdown => (false, 0, Who::Callee),
            Self::ClientLost => (false, 0, Who::Callee),
            Self::MediaFailed => (true, 1, Who::Callee),
            Self::Incompatible => (true, 2, Who::Callee),
            Self::Capacity => (false, 0, Who::Callee),
            Self::Operator => (false, 0, Who::Callee),
            Self::Error => (true, 0, Who::Callee),
        }
    }
}

/// Who ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    /// The initiating client.
    Caller,
    /// A called client.
    Callee,
    /// The server.
    Crs,
}

/// Whether a session ended before or after its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Nobody had answered.
    BeforeAnswer,
    /// The call was established.
    AfterAnswer,
}
