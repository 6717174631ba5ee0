//! One direction of SRTP: roll-over counter, replay window, AES-GCM (RFC 3711 §3.3, RFC 7714 §8).

use std::collections::BTreeMap;

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::kdf::{MasterKey, SessionKey};
use super::rtp::{Header, NotRtp};
use super::{Profile, TAG_LEN};

/// Most sources (SSRCs) in one direction; further ones are refused.
pub const SSRCS_MAX: usize = 64;
/// Packets behind the newest that are still accepted once.
const WINDOW: u64 = 128;
/// Longest packet in bytes.
const PACKET_MAX: usize = 65_535;

/// Why a packet was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// Not RTP.
    #[error(transparent)]
    NotRtp(#[from] NotRtp),
    /// A packet that was accepted before, or older than the window.
    #[error("a replayed or very old packet")]
    Replay,
    /// Forged, damaged, or for another key.
    #[error("the authentication tag does not match")]
    Tag,
    /// More than [`SSRCS_MAX`] sources.
    #[error("more than {SSRCS_MAX} sources in one direction")]
    TooManySources,
    /// Beyond 2^48 packets or 65 535 bytes, or the sequence number went back while sending.
    #[error("the packet index or length is beyond what the key may protect")]
    Exhausted,
    /// Key or salt of wrong length.
    #[error("the master key or salt has the wrong length for its profile")]
    Key,
}

/// Protects or unprotects the packets of one direction. A context serves one of both only.
pub struct SrtpContext {
    key: LessSafeKey,
    salt: [u8; 12],
    sources: BTreeMap<u32, Source>,
}

/// State of one source.
#[derive(Clone, Copy)]
struct Source {
    /// Highest 48-bit packet index seen.
    highest: u64,
    /// Bit n: index `highest - n` was seen.
    seen: u128,
}

impl SrtpContext {
    /// From a master key.
    pub fn new(master: &MasterKey) -> Result<Self, SrtpError> {
        Self::from_session(&master.session().ok_or(SrtpError::Key)?)
    }

    /// From session keys.
    pub fn from_session(session: &SessionKey) -> Result<Self, SrtpError> {
        let algorithm = match session.profile {
            Profile::Aes128Gcm => &AES_128_GCM,
            Profile::Aes256Gcm => &AES_256_GCM,
        };
        let key = UnboundKey::new(algorithm, session.key.expose()).map_err(|_| SrtpError::Key)?;
        let salt = session.salt.expose().try_into().map_err(|_| SrtpError::Key)?;
        Ok(Self { key: LessSafeKey::new(key), salt, sources: BTreeMap::new() })
    }

    /// Encrypts an RTP packet in place and appends the tag. Sequence numbers must rise (modulo
    /// 2^16) per source: one that was used may not be used again with the same key.
    pub fn protect(&mut self, packet: &mut Vec<u8>) -> Result<(), SrtpError> {
        let header = Header::parse(packet)?;
        if packet.len() + TAG_LEN > PACKET_MAX {
            return Err(SrtpError::Exhausted);
        }
        let (index, source) = match self.source(header.ssrc)? {
            None => (u64::from(header.sequence), Source::first(header.sequence)),
            Some(source) => {
                let index = source.index_of(header.sequence).ok_or(SrtpError::Exhausted)?;
                if index <= source.highest || index >> 48 != 0 {
                    return Err(SrtpError::Exhausted);
                }
                (index, source.accepted(index))
            }
        };
        let nonce = self.nonce(header.ssrc, index);
        let (head, payload) = packet.split_at_mut(header.len);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(&*head), payload)
            .map_err(|_| SrtpError::Exhausted)?;
        packet.extend_from_slice(tag.as_ref());
        self.sources.insert(header.ssrc, source);
        Ok(())
    }

    /// Verifies and decrypts a packet in place and cuts the tag off. A refused packet changes no
    /// state; the buffer's content is then undefined.
    pub fn unprotect(&mut self, packet: &mut Vec<u8>) -> Result<Header, SrtpError> {
        let header = Header::parse(packet)?;
        if packet.len() < header.len + TAG_LEN {
            return Err(SrtpError::Tag);
        }
        let (index, source) = match self.source(header.ssrc)? {
            None => (u64::from(header.sequence), Source::first(header.sequence)),
            Some(source) => {
                let index = source.index_of(header.sequence).ok_or(SrtpError::Replay)?;
                if source.has_seen(index) {
                    return Err(SrtpError::Replay);
                }
                (index, source.accepted(index))
            }
        };
        let nonce = self.nonce(header.ssrc, index);
        let (head, body) = packet.split_at_mut(header.len);
        let length = self
            .key
            .open_in_place(nonce, Aad::from(&*head), body)
            .map_err(|_| SrtpError::Tag)?
            .len();
        packet.truncate(header.len + length);
        self.sources.insert(header.ssrc, source);
        Ok(header)
    }

    fn source(&self, ssrc: u32) -> Result<Option<Source>, SrtpError> {
        match self.sources.get(&ssrc) {
            Some(source) => Ok(Some(*source)),
            None if self.sources.len() >= SSRCS_MAX => Err(SrtpError::TooManySources),
            None => Ok(None),
        }
    }

    /// RFC 7714 §8.1: 00 00 | SSRC | ROC | SEQ, exclusive-or the salt.
    fn nonce(&self, ssrc: u32, index: u64) -> Nonce {
        let mut nonce = [0; 12];
        nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
        nonce[6..].copy_from_slice(&index.to_be_bytes()[2..]);
        for (byte, salt) in nonce.iter_mut().zip(self.salt) {
            *byte ^= salt;
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

impl Source {
    fn first(sequence: u16) -> Self {
        Self { highest: u64::from(sequence), seen: 1 }
    }

    /// The packet index nearest to the highest one (RFC 3711 §3.3.1); `None` before the first.
    fn index_of(self, sequence: u16) -> Option<u64> {
        let roc = self.highest >> 16;
        let near = self.highest as u16;
        let ahead = sequence.wrapping_sub(near);
        let roc = match (ahead < 0x8000, sequence >= near) {
            (true, true) | (false, false) => roc,
            (true, false) => roc + 1,
            (false, true) => roc.checked_sub(1)?,
        };
        Some(roc << 16 | u64::from(sequence))
    }

    fn has_seen(self, index: u64) -> bool {
        match self.highest.checked_sub(index) {
            None => false,
            Some(behind) if behind >= WINDOW => true,
            Some(behind) => self.seen >> behind & 1 == 1,
        }
    }

    fn accepted(self, index: u64) -> Self {
        match index.checked_sub(self.highest) {
            Some(ahead) => {
                let shift = u32::try_from(ahead).unwrap_or(u32::MAX);
                let seen = self.seen.checked_shl(shift).unwrap_or(0) | 1;
                Self { highest: index, seen }
            }
            None => Self { seen: self.seen | 1 << (self.highest - index), ..self },
        }
    }
}

impl std::fmt::Debug for SrtpContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SrtpContext({} sources)", self.sources.len())
    }
}
