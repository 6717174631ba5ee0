//! Wire types of `crs.v1`: JSON text frames over WebSocket (docs/protocol.md).
//!
//! One file per group of operations. Unknown fields are ignored; binary values travel as
//! standard base64 with padding; integers stay at or below 2^53; times are milliseconds since
//! the epoch; ids of messages and sessions are UUIDv7 chosen by the client.

pub mod bytes64;
pub mod call;
pub mod error;
pub mod keys;
pub mod life;
pub mod lookup;
pub mod message;
mod object;
pub mod relay;
mod word;

pub use bytes64::Bytes64;
pub use error::{ErrorBody, ErrorCode};
pub use word::word;
