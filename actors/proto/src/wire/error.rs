//! Errors that a request may be answered with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `err` object of a failed reply: `{"re":7,"ok":false,"err":{…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// What went wrong, from a closed list.
    pub code: ErrorCode,
    /// One sentence for a person; never to be parsed.
    pub text: String,
    /// When the same request may be tried again, in milliseconds. Absent: not by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_ms: Option<u64>,
    /// Why an attach was denied; only with [`ErrorCode::Denied`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<super::life::DeniedReason>,
}

impl ErrorBody {
    /// An error; whether and when the same request may be tried again is that of its code.
    pub fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), retry_ms: code.retry_ms(), reason: None }
    }

    /// An error after which the same request may be tried again after a time of its own.
    pub fn retry(code: ErrorCode, text: impl Into<String>, retry_ms: u64) -> Self {
        Self { retry_ms: Some(retry_ms), ..Self::new(code, text) }
    }

    /// An attach, or an op that needs one, was denied.
    pub fn denied(reason: super::life::DeniedReason, text: impl Into<String>) -> Self {
        Self { reason: Some(reason), ..Self::new(ErrorCode::Denied, text) }
    }
}

/// The closed list of error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// The frame is not a JSON object with `id` and `op`, or a field is missing or ill-typed.
    Malformed,
    /// The op is not part of this server's protocol.
    UnknownOp,
    /// A field is well-formed but not acceptable; `text` names it.
    BadArgument,
    /// A frame, body or offer beyond its limit.
    TooLarge,
    /// A rate limit of this client; honour `retry_ms`.
    RateLimited,
    /// More than 32 requests in flight.
    InFlight,
    /// The op needs a registered connection.
    NotAttached,
    /// The attach was denied; `reason` says why.
    Denied,
    /// The URI resolves nowhere, is not connected with this account, or is blocked.
    NotFound,
    /// The session, leg or message is unknown, ended, or belongs to somebody else.
    Gone,
    /// The request is not allowed in the present state or for this role.
    NotAllowed,
    /// The same id was posted before with other content.
    IdConflict,
    /// The id claims a time older than the retention of ids (35 days) or too far ahead.
    IdTooOld,
    /// The receiver's mailbox is full.
    Quota,
    /// An earlier post of this connection to this receiver failed: repeat that one first.
    OrderBroken,
    /// No majority of replicas can confirm; nothing is known to be stored. Honour `retry_ms`.
    Unavailable,
    /// The server's disk is full; nothing was stored.
    DiskFull,
    /// The relay has reached a configured limit.
    RelayLimit,
    /// The node has reached a limit of sessions or connections, or is draining.
    Capacity,
    /// The server failed; its log says more.
    Internal,
}

impl ErrorCode {
    /// When a request that failed so may be tried again, in milliseconds, unless the error knows
    /// better; `None`: not by itself.
    pub const fn retry_ms(self) -> Option<u64> {
        match self {
            // Replies are a matter of milliseconds.
            Self::InFlight => Some(200),
            Self::RateLimited | Self::Unavailable => Some(1_000),
            Self::DiskFull | Self::RelayLimit | Self::Capacity | Self::Internal => Some(5_000),
            // Only the receiver can make room.
            Self::Quota => Some(60_000),
            // After the failed post, which has a time of its own.
            Self::OrderBroken => None,
            Self::Malformed
            | Self::UnknownOp
            | Self::BadArgument
            | Self::TooLarge
            | Self::NotAttached
            | Self::Denied
            | Self::NotFound
            | Self::Gone
            | Self::NotAllowed
            | Self::IdConflict
            | Self::IdTooOld => None,
        }
    }
}
