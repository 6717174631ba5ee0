//! What can be proposed, and what comes back: one file per command, each with its pure `apply`.
//!
//! `apply` sees neither clock nor randomness: the proposer puts times and ids into the command,
//! so that every replica, and every replay, comes to the same state.

pub mod body;
pub mod control;
pub mod mailbox;

pub use body::{Body, Sealed};
pub use control::{ControlCommand, ControlRefusal, ControlReply};
pub use mailbox::{MailboxCommand, MailboxReply, UserKey};
