//! One session (call): invite, forking, ringing, talk, hangup (C-174…C-180, Q-14…Q-16).
//!
//! Order of calls: [`Session::start`] makes the session from an invite; [`Session::handle`] takes
//! everything that happens to it; [`Session::next_deadline`] says when to hand in
//! [`Input::Tick`]. Both return effects, to be carried out in order. Every request's
//! [`ReplyTag`] comes back in exactly one [`Effect::Reply`]. [`Effect::Expired`] is the last.
//!
//! A session always ends: each state but `talk` has a deadline, and `talk` ends when a party is
//! lost, when the relay has been silent, or by hangup.

mod calling;
mod core;
mod detail;
mod media;
mod record;
#[cfg(test)]
mod tests;
mod timers;
mod types;
mod view;

pub use self::core::Session;
pub use detail::DetailWord;
pub use record::{RECORD_MAX, RECORD_VERSION, RestoreError};
pub use types::{
    BRANCHES_MAX, CallReply, CallRequest, Callee, Effect, End, Endpoint, Input, LegPath, LegReport,
    MediaReport, Parties, Refused, RelayFailure, ReplyTag, SessionConfig, Side, Summary,
};
