//! The relay over real sockets on loopback.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step of a test ends the test")]

mod forwarding;
mod limits;
mod moves;
mod refusals;
mod supervision;
mod support;
