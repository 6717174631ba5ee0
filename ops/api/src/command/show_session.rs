//! `show session`: active sessions (C-170 … C-180).

use serde::{Deserialize, Serialize};

/// Nothing to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {}

/// The sessions, oldest first.
pub type Reply = Vec<SessionRow>;

crate::row! {
    /// One session.
    pub struct SessionRow {
        /// Who calls.
        caller: String => "CALLER",
        /// Who is called.
        callee: String => "CALLEE",
        /// Seconds since the invite.
        time: u64 => "TIME",
        /// `invite`, `ringing`, `talk`, `responder not found`, `responder not connected` or
        /// `hangup(reason, who)`.
        state: String => "STATE",
        /// The caller's account.
        account: String => verbose "ACCOUNT",
        /// The session's id.
        session_id: String => verbose "SESSION-ID",
    }
}
