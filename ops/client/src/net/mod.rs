//! The connection: TLS 1.3 with a client certificate, WebSocket, first frame.

pub mod link;
pub mod tls;

pub use link::{Link, connect};
pub use tls::{client_config, crypto_provider};
