//! Media of a call: WAV files, RTP (RFC 3550, 3551) and the relay leg (STUN, RFC 8489).

pub mod codec;
pub mod description;
pub mod leg;
mod mulaw;
pub mod path;
pub mod rtp;
pub mod stats;
pub mod stream;
pub mod wav;

pub use codec::Codec;
/// Binding a leg from a socket of one's own, as the load tool does.
pub use crs_proto::leg::{LegCredentials, client as stun};
pub use stats::MediaStats;
