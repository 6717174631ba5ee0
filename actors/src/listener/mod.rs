//! The client listener: accept within limits, TLS 1.3 with client certificates, WebSocket
//! upgrade, then one supervised actor per connection.

mod accept;
mod capacity;
mod failures;
mod handshake;
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
pub use socket::{READ_AHEAD_MAX, Socket, TlsSocket, WebSocket};
pub use tls::{NodeCertificate, TlsError, TlsSettings};
pub use upgrade::{ECHO_PATH, HEAD_MAX, HEADERS_MAX, Protocol};
pub use verify::TestClients;
