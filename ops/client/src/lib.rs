//! The client of the rendezvous server: a library for programs that attach, send messages and
//! call, and the terminal program `crs-client` on top of it.
//!
//! The parts that decide something are sans-IO and live in [`core`]; [`Client`] is the async
//! shell that runs their effects on a connection, on the journals and on the clock.

mod call;
pub mod client;
pub mod core;
mod crypto;
mod driver;
pub mod error;
pub mod event;
#[cfg(test)]
mod fault_disk;
#[cfg(test)]
mod fixture;
pub mod identity;
pub mod journal;
pub mod media;
mod memory_disk;
pub mod net;
pub mod options;
pub mod profile;

pub use client::Client;
pub use client::command::{Confirmed, copies_text};
pub use driver::Status;
pub use error::ClientError;
pub use event::{Event, IncomingCall, ReceivedMessage};
pub use identity::{Identity, PeriodKeys, ServerTrust};
pub use options::{CallMedia, CallReport, Options};
