//! The client against a small server of its own protocol, over real TLS, with connections that
//! are cut at every place.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod enrol;
mod killed;
mod lies;
mod messages;
mod refused;
mod server;
mod silent;
mod terminal;
