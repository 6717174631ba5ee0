//! The client listener: accept within limits, TLS 1.3 with client certificates, WebSocket
//! upgrade, then one supervised actor per connection.

mod accept;
mod capacity;
mod failures;
mod handshake;
mod newcomers;
mod refused;
mod socket;
#[cfg(test)]
mod tests;
mod tls;
mod upgrade;
mod verify;

pub use accept::{FD_RESERVE, HANDSHAKES_MAX, ListenerShared, child};
pub use capacity::{Capacity, Place};
pub use failures::{ADDRESSES_MAX, Failures};
pub(crate) use handshake::Established;
pub use handshake::{HANDSHAKE_TIMEOUT, HandshakeError};
pub use newcomers::{Newcomer, Newcomers};
pub use refused::{FAILURES, REFUSED_LINES_MAX, Refused, RefusedLines};
pub use socket::{CLOSE_TIMEOUT, READ_AHEAD_MAX, Socket, TlsSocket, WebSocket};
pub use tls::{NodeCertificate, TlsError, TlsSettings};
#[cfg(fuzzing)]
pub use upgrade::fuzz_upgrade;
pub use upgrade::{ECHO_PATH, HEAD_MAX, HEADERS_MAX, Protocol};
pub use verify::TestClients;
