//! SRTP with AES-GCM (RFC 3711, RFC 7714): protects what the relay forwards unread.
//!
//! Own code on the one crypto provider of this tree: the packets of two profiles need a page, and
//! an SRTP crate would bring a second set of ciphers. SRTCP is not used by `crs.v1` calls; quality
//! reports travel in a data packet of the media description.

mod context;
mod kdf;
pub mod rtp;

pub use context::{SSRCS_MAX, SrtpContext, SrtpError};
pub use kdf::{MasterKey, SessionKey};

/// Protection profiles (RFC 7714 §14.2, the DTLS-SRTP numbers).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// AEAD_AES_128_GCM.
    Aes128Gcm,
    /// AEAD_AES_256_GCM: what our client offers first.
    Aes256Gcm,
}

impl Profile {
    /// Best first.
    pub const ALL: [Self; 2] = [Self::Aes256Gcm, Self::Aes128Gcm];

    /// The registered number.
    pub fn id(self) -> u16 {
        match self {
            Self::Aes128Gcm => 7,
            Self::Aes256Gcm => 8,
        }
    }

    /// From the registered number.
    pub fn from_id(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.id() == id)
    }

    /// Bytes of the master and session key.
    pub fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes256Gcm => 32,
        }
    }
}

/// Bytes that protection adds to a packet.
pub const TAG_LEN: usize = 16;

#[cfg(test)]
mod tests;
