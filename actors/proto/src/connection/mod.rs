//! One client connection after its TLS handshake: what is admitted, how fast, in which order,
//! and when the connection has to end.
//!
//! Order of calls: [`Connection::new`]; for each text frame [`Connection::receive`], then for
//! each admitted request [`Connection::finished`] exactly once (its replies may come in any
//! order); [`Connection::poll`] whenever [`Connection::next_wake`] has passed. What they return
//! is carried out by the shell: admitted requests are run, refusals are sent, a [`Close`] ends
//! the WebSocket. The core holds no account data and is under 256 bytes when idle; the rates of
//! its user come as an argument, for they outlive the connection ([`UserBuckets`]).

mod buckets;
mod close;
mod config;
mod core;
mod order;
#[cfg(test)]
mod tests;

pub use buckets::UserBuckets;
pub use close::Close;
pub use config::{ConnectionConfig, OutboxLimits, Rates};
pub use core::{
    Admission, CertificateTerms, Connection, Due, Now, Outcome, Registration, SlowReader,
};
pub use order::{BROKEN_RECEIVERS_MAX, breaks_order};
