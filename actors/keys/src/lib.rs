//! Keys of the rendezvous server and its clients, without any I/O: certificate profile, update
//! files, enrolment bundles, end-to-end envelopes of messages and calls, SRTP.
//!
//! Everything takes time and randomness as arguments. The formats are normative in
//! docs/protocol-e2e.md.

pub mod account_ca;
pub mod cbor;
pub mod derive;
pub mod identity;
pub mod p256;
