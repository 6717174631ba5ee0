//! Keys of the rendezvous server and its clients, without any I/O: certificate profile, update
//! files, enrolment bundles, end-to-end envelopes of messages and calls, SRTP.
//!
//! Everything takes time and randomness as arguments. The formats are normative in
//! docs/protocol-e2e.md.

pub mod account_ca;
pub mod bundle;
pub mod call;
pub mod cbor;
pub mod cose;
pub mod derive;
pub mod envelope;
#[cfg(test)]
mod fixture;
pub mod identity;
pub mod kem;
pub mod kem_cert;
pub mod p256;
pub mod package;
pub mod pool_ca;
pub mod seal_at_rest;
pub mod server_cert;
pub mod srtp;
pub mod test_ca;
pub mod trust;
pub mod update;
