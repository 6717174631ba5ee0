//! X-Wing (ML-KEM-768 + X25519) keys and HPKE (RFC 9180) in base mode with them.
//!
//! Suite: KEM 0x647a (X-Wing), KDF 0x0001 (HKDF-SHA256), AEAD 0x0002 (AES-256-GCM). Auth mode
//! does not exist for X-Wing; senders sign instead.

use std::fmt;

use crs_types::{Rng, Secret};
use hpke::aead::{AeadCtxR, AeadCtxS, AesGcm256};
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use zeroize::Zeroizing;

use crate::derive;

/// Bytes of a private key (the seed).
pub const SEED_LEN: usize = 32;
/// Bytes of a public key.
pub const PUBLIC_KEY_LEN: usize = 1216;
/// Bytes of an encapsulation.
pub const ENCAPSULATION_LEN: usize = 1120;
/// Bytes of an AES-GCM tag.
pub const TAG_LEN: usize = 16;

/// Names a public key: the first 16 bytes of its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 16]);

/// An X-Wing public key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(<XWing as Kem>::PublicKey);

/// An X-Wing private key: 32 bytes from which everything else is expanded.
#[derive(Clone)]
pub struct PrivateKey {
    seed: Secret,
}

/// A key, encapsulation or ciphertext was not usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KemError {
    /// Not a public key.
    #[error("not an X-Wing public key of {PUBLIC_KEY_LEN} bytes")]
    PublicKey,
    /// Not a private key.
    #[error("not an X-Wing private key of {SEED_LEN} bytes")]
    PrivateKey,
    /// Not an encapsulation.
    #[error("not an X-Wing encapsulation of {ENCAPSULATION_LEN} bytes")]
    Encapsulation,
    /// Encryption failed.
    #[error("encryption failed")]
    Seal,
    /// Wrong key, wrong context, or changed content.
    #[error("the content cannot be decrypted: wrong key, wrong context, or it was changed")]
    Open,
}

impl KeyId {
    /// The id of a public key's bytes.
    pub fn of(public_key: &[u8]) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&derive::sha256(public_key)[..16]);
        Self(id)
    }
}

impl PublicKey {
    /// From 1216 bytes; the ML-KEM part is checked (FIPS 203 §7.2).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KemError> {
        <XWing as Kem>::PublicKey::from_bytes(bytes).map(Self).map_err(|_| KemError::PublicKey)
    }

    /// The 1216 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes().to_vec()
    }

    /// The key's id.
    pub fn id(&self) -> KeyId {
        KeyId::of(&self.to_bytes())
    }
}

impl PrivateKey {
    /// A fresh key.
    pub fn generate(rng: &mut dyn Rng) -> Self {
        Self { seed: Secret::generate(rng, SEED_LEN) }
    }

    /// From the 32-byte seed.
    pub fn from_seed(seed: &[u8]) -> Result<Self, KemError> {
        if seed.len() != SEED_LEN {
            return Err(KemError::PrivateKey);
        }
        Ok(Self { seed: Secret::new(seed.to_vec()) })
    }

    /// The seed, for sealed storage.
    pub fn seed(&self) -> &Secret {
        &self.seed
    }

    /// The public key.
    pub fn public_key(&self) -> Result<PublicKey, KemError> {
        Ok(PublicKey(XWing::sk_to_pk(&self.expanded()?)))
    }

    fn expanded(&self) -> Result<<XWing as Kem>::PrivateKey, KemError> {
        <XWing as Kem>::PrivateKey::from_bytes(self.seed.expose()).map_err(|_| KemError::PrivateKey)
    }
}

/// A sender's HPKE context, for one message.
pub(crate) struct Sender(AeadCtxS<AesGcm256, HkdfSha256, XWing>);

/// A receiver's HPKE context, for one message.
pub(crate) struct Receiver(AeadCtxR<AesGcm256, HkdfSha256, XWing>);

/// Encapsulates to `to`; the bytes are the encapsulation.
pub(crate) fn setup_sender(
    to: &PublicKey,
    info: &[u8],
    rng: &mut dyn Rng,
) -> Result<(Vec<u8>, Sender), KemError> {
    let (encapsulation, context) = hpke::setup_sender_with_rng::<AesGcm256, HkdfSha256, XWing>(
        &OpModeS::Base,
        &to.0,
        info,
        &mut RngAdapter(rng),
    )
    .map_err(|_| KemError::Seal)?;
    Ok((encapsulation.to_bytes().to_vec(), Sender(context)))
}

/// Opens an encapsulation. Always succeeds for well-formed input (implicit rejection): whether it
/// was the right key shows when the ciphertext is opened.
pub(crate) fn setup_receiver(
    key: &PrivateKey,
    encapsulation: &[u8],
    info: &[u8],
) -> Result<Receiver, KemError> {
    let encapsulation = <XWing as Kem>::EncappedKey::from_bytes(encapsulation)
        .map_err(|_| KemError::Encapsulation)?;
    hpke::setup_receiver::<AesGcm256, HkdfSha256, XWing>(
        &OpModeR::Base,
        &key.expanded()?,
        &encapsulation,
        info,
    )
    .map(Receiver)
    .map_err(|_| KemError::Encapsulation)
}

impl Sender {
    /// Encrypts and appends the tag.
    pub(crate) fn seal(&mut self, plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>, KemError> {
        self.0.seal(plaintext, aad).map_err(|_| KemError::Seal)
    }

    /// Exports key material (RFC 9180 §5.3).
    pub(crate) fn export<const N: usize>(
        &self,
        context: &[u8],
    ) -> Result<Zeroizing<[u8; N]>, KemError> {
        let mut out = Zeroizing::new([0; N]);
        self.0.export(context, out.as_mut_slice()).map_err(|_| KemError::Seal)?;
        Ok(out)
    }
}

impl Receiver {
    /// Decrypts.
    pub(crate) fn open(
        &mut self,
        ciphertext: &[u8],
        aad: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KemError> {
        self.0.open(ciphertext, aad).map(Zeroizing::new).map_err(|_| KemError::Open)
    }

    /// Exports key material (RFC 9180 §5.3).
    pub(crate) fn export<const N: usize>(
        &self,
        context: &[u8],
    ) -> Result<Zeroizing<[u8; N]>, KemError> {
        let mut out = Zeroizing::new([0; N]);
        self.0.export(context, out.as_mut_slice()).map_err(|_| KemError::Open)?;
        Ok(out)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}

/// Lends our randomness to the HPKE crate.
struct RngAdapter<'a>(&'a mut dyn Rng);

impl rand_core::TryRng for RngAdapter<'_> {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        self.0.fill(out);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for RngAdapter<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crs_types::rng::SeededRng;

    #[test]
    fn sealed_content_opens_only_with_the_right_key_info_and_aad() {
        let mut rng = SeededRng::new(1);
        let key = PrivateKey::generate(&mut rng);
        let public = key.public_key().unwrap();
        let (encapsulation, mut sender) = setup_sender(&public, b"info", &mut rng).unwrap();
        assert_eq!(encapsulation.len(), ENCAPSULATION_LEN);
        let sealed = sender.seal(b"hello", b"aad").unwrap();
        let open = |key: &PrivateKey, info: &[u8], aad: &[u8]| {
            setup_receiver(key, &encapsulation, info)
                .and_then(|mut receiver| receiver.open(&sealed, aad))
        };
        assert_eq!(open(&key, b"info", b"aad").unwrap().as_slice(), b"hello");
        assert_eq!(open(&key, b"other", b"aad").unwrap_err(), KemError::Open);
        assert_eq!(open(&key, b"info", b"other").unwrap_err(), KemError::Open);
        let other = PrivateKey::generate(&mut rng);
        assert_eq!(open(&other, b"info", b"aad").unwrap_err(), KemError::Open);
    }

    #[test]
    fn malformed_keys_are_refused() {
        assert_eq!(PublicKey::from_bytes(&[0; 10]).unwrap_err(), KemError::PublicKey);
        // Coefficients beyond the modulus.
        assert_eq!(PublicKey::from_bytes(&[0xff; 1216]).unwrap_err(), KemError::PublicKey);
        assert_eq!(PrivateKey::from_seed(&[0; 31]).unwrap_err(), KemError::PrivateKey);
    }

    /// First vector of draft-connolly-cfrg-xwing-kem, appendix C: seed to public key.
    #[test]
    fn the_key_expansion_is_that_of_the_draft() {
        let seed = [
            0x7f, 0x9c, 0x2b, 0xa4, 0xe8, 0x8f, 0x82, 0x7d, 0x61, 0x60, 0x45, 0x50, 0x76, 0x05,
            0x85, 0x3e, 0xd7, 0x3b, 0x80, 0x93, 0xf6, 0xef, 0xbc, 0x88, 0xeb, 0x1a, 0x6e, 0xac,
            0xfa, 0x66, 0xef, 0x26,
        ];
        let public = PrivateKey::from_seed(&seed).unwrap().public_key().unwrap().to_bytes();
        assert_eq!(public[..8], [0xe2, 0x23, 0x6b, 0x35, 0xa8, 0xc2, 0x4b, 0x39]);
    }
}
