//! Media of a call: WAV files, RTP (RFC 3550, 3551) and the relay leg (STUN, RFC 8489).

pub mod codec;
pub mod description;
pub mod leg;
pub mod rtp;
pub mod stats;
pub mod stream;
pub mod wav;

pub use codec::Codec;
pub use stats::MediaStats;
