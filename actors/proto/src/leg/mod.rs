//! Binding of a relay leg to a client address by STUN (RFC 8489), with the relay's own check and
//! consent (RFC 7675), both sides of it, and the demultiplexer of the media port (RFC 7983).
//!
//! The relay finds the leg of a packet with [`peek`], calls [`LegBinding::handle`] and sends what
//! it returns; it calls [`LegBinding::poll`] at [`LegBinding::next_deadline`]. Nothing here
//! allocates.
//!
//! Nothing but a check is ever sent to an address that has not proved itself, and a check is never
//! longer than the request it follows: the relay amplifies nothing. A request from a new address
//! is answered only after that address has answered the check with the leg's password, since
//! MESSAGE-INTEGRITY does not cover addresses and a recorded request may come from anywhere.

mod binding;
pub mod client;
mod credentials;
mod demux;
mod stun;
#[cfg(test)]
mod tests;

pub use binding::{
    ANSWER_RATE, CHECK_RATE, CONSENT_INTERVAL, CONSENT_LIFETIME, Change, Ignored, LegBinding,
    LegEffects, PENDING_MAX, Verdict,
};
pub use credentials::{CredentialsError, LegCredentials, PASSWORD_LENGTH, UFRAG_LENGTH};
pub use demux::{PacketKind, demux};
pub use stun::{PACKET_MAX, Peek, REQUEST_MAX, StunPacket, TransactionId, peek};
