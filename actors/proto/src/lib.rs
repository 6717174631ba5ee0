//! The client protocol `crs.v1`, sans I/O: wire types and codec, and the state machines of
//! connections, sessions, message delivery, keep-alive and relay legs.
//!
//! Every machine takes its input, the time and randomness as arguments and returns effects; the
//! actors in `crs-actors` only carry them out. docs/protocol.md is the normative text.

pub mod codec;
pub mod connection;
pub mod delivery;
pub mod keepalive;
pub mod leg;
pub mod rate;
pub mod schema;
pub mod session;
pub mod wire;

/// WebSocket subprotocol of clients.
pub const SUBPROTOCOL: &str = "crs.v1";
/// HTTP path of the WebSocket upgrade.
pub const UPGRADE_PATH: &str = "/crs/v1";
/// TLS application protocol (ALPN) of clients.
pub const ALPN: &[u8] = b"http/1.1";
