//! What a caller may choose, and what a call reports.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crs_proto::wire::call::{HangupReason, SessionState, Who};
use crs_proto::wire::life::Role;
use crs_proto::wire::lookup::Found;
use crs_types::{Clock, SessionId, SystemClock};
use serde::Serialize;

/// Choices of a [`crate::Client`].
#[derive(Clone)]
pub struct Options {
    /// Where time comes from; tests move it.
    pub clock: Arc<dyn Clock>,
    /// Role of the registration.
    pub role: Role,
    /// Servers to use in place of the identity's, as `host:port`.
    pub servers: Option<Vec<String>>,
    /// Time limit of one connection attempt, handshake and `welcome` included.
    pub connect_timeout: Duration,
    /// Time limit of one request.
    pub request_timeout: Duration,
    /// Longest pause between connection attempts; the pause is drawn from `0..=cap`.
    pub backoff_cap: Duration,
    /// Fetch and confirm key updates without being asked.
    pub auto_update: bool,
    /// Users whose keys are known without asking the server, such as the other test client of a
    /// health check. They are verified like any others.
    pub known: Vec<Found>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Options({:?}, {:?})", self.role, self.servers)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            role: Role::Primary,
            servers: None,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(15),
            backoff_cap: Duration::from_secs(60),
            auto_update: true,
            known: Vec::new(),
        }
    }
}

/// The media of one call.
#[derive(Debug, Clone, Default)]
pub struct CallMedia {
    /// WAV file to stream; silence of `duration` without one.
    pub play: Option<PathBuf>,
    /// WAV file to write what arrives to.
    pub record: Option<PathBuf>,
    /// End the call after this long; default: when the file has been played, or when the other
    /// side hangs up if there is no file.
    pub duration: Option<Duration>,
    /// Samples that the other side is known to send: arriving packets are compared with them, as
    /// µ-law when it has to send that.
    pub expect: Option<PathBuf>,
    /// Use µ-law only, in both directions: every client takes it.
    pub mulaw: bool,
}

/// How a call went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CallReport {
    /// The session.
    pub session: SessionId,
    /// The other party, as a number.
    pub peer: String,
    /// True at the caller.
    pub caller: bool,
    /// The last state: `hangup`, or that the called user was not found or not connected.
    pub state: SessionState,
    /// True when the call was answered.
    pub answered: bool,
    /// Why it ended.
    pub reason: HangupReason,
    /// Who ended it.
    pub who: Option<Who>,
    /// At the caller: from the invite to the answer. At the called side: from the answer to its
    /// confirmation.
    pub setup_ms: u64,
    /// From the answer to the first authenticated media packet of the other side.
    pub first_media_ms: Option<u64>,
    /// From the answer to the end.
    pub talk_ms: u64,
    /// Media figures.
    pub media: crate::media::MediaStats,
}
