//! ECDSA on P-256 with SHA-256: the signing keys of users and CAs.
//!
//! Keys are made from the caller's randomness (or derived), so that tests and the health check's
//! CA are reproducible. Signatures use the provider's own nonce.

use std::sync::Arc;

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair,
    UnparsedPublicKey,
};
use crs_types::{Rng, Secret};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::derive;

/// Bytes of a signature in the fixed form r || s (RFC 9053 §2.1).
pub const SIGNATURE_LEN: usize = 64;

/// A private signing key: the 32-byte big-endian scalar.
#[derive(Clone)]
pub struct SigningKey {
    scalar: Secret,
    /// Uncompressed SEC 1 point, 65 bytes.
    public: Vec<u8>,
    /// Checked once: the provider's checks cost more than a signature.
    pair: Arc<EcdsaKeyPair>,
}

/// A key or signature was not usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a scalar in 1..n.
    #[error("not a P-256 private key: expected 32 bytes below the group order")]
    Private,
    /// The signature does not match.
    #[error("the signature does not match the content and key")]
    Signature,
    /// The crypto provider failed.
    #[error("the crypto provider failed")]
    Provider,
}

impl SigningKey {
    /// A fresh key.
    pub fn generate(rng: &mut dyn Rng) -> Self {
        let seed = Secret::generate(rng, 32);
        Self::derive(seed.expose(), "crs-p256-v1")
    }

    /// A key that is a function of `secret` and `label`.
    pub fn derive(secret: &[u8], label: &str) -> Self {
        // A candidate is out of range with probability 2^-32; 256 misses in a row cannot happen.
        (0..=u8::MAX)
            .find_map(|counter| {
                let scalar = derive::derive_with::<32>(secret, &[label.as_bytes(), &[counter]]);
                Self::from_scalar(scalar.as_slice()).ok()
            })
            .expect("one of 256 candidates is below the group order")
    }

    /// From a scalar as stored in packages and bundles.
    pub fn from_scalar(scalar: &[u8]) -> Result<Self, KeyError> {
        let private =
            PrivateKey::from_private_key(&ECDH_P256, scalar).map_err(|_| KeyError::Private)?;
        let public = private.compute_public_key().map_err(|_| KeyError::Private)?;
        let public = public.as_ref().to_vec();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            scalar,
            &public,
        )
        .map_err(|_| KeyError::Private)?;
        Ok(Self { scalar: Secret::new(scalar.to_vec()), public, pair: Arc::new(pair) })
    }

    /// The scalar, for sealed storage.
    pub fn scalar(&self) -> &Secret {
        &self.scalar
    }

    /// The public key as an uncompressed SEC 1 point (65 bytes).
    pub fn public_key(&self) -> &[u8] {
        &self.public
    }

    /// PKCS#8, for TLS stacks.
    pub fn to_pkcs8(&self) -> Result<PrivateKeyDer<'static>, KeyError> {
        let document = self.pair.to_pkcs8v1().map_err(|_| KeyError::Provider)?;
        Ok(PrivatePkcs8KeyDer::from(document.as_ref().to_vec()).into())
    }

    /// Signs with SHA-256; r || s.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature =
            self.pair.sign(&SystemRandom::new(), message).map_err(|_| KeyError::Provider)?;
        Ok(signature.as_ref().to_vec())
    }
}

impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        self.scalar == other.scalar
    }
}

impl Eq for SigningKey {}

/// For the certificate writer.
impl rcgen::PublicKeyData for SigningKey {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

/// For the certificate writer: X.509 wants the signature as DER.
impl rcgen::SigningKey for SigningKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let fixed = Self::sign(self, message).map_err(|_| rcgen::Error::RingUnspecified)?;
        Ok(der_signature(&fixed))
    }
}

/// `SEQUENCE { INTEGER r, INTEGER s }` (RFC 3279 §2.2.3) from r || s.
fn der_signature(fixed: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(72);
    for half in fixed.chunks(SIGNATURE_LEN / 2) {
        let zeros = half.iter().take_while(|byte| **byte == 0).count();
        let digits = &half[zeros.min(half.len() - 1)..];
        let pad = digits[0] >> 7;
        content.extend_from_slice(&[0x02, digits.len() as u8 + pad]);
        content.extend(std::iter::repeat_n(0, usize::from(pad)));
        content.extend_from_slice(digits);
    }
    let mut out = vec![0x30, content.len() as u8];
    out.extend(content);
    out
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

/// Verifies r || s over `message` with an uncompressed SEC 1 point.
pub fn verify(public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public_key)
        .verify(message, signature)
        .map_err(|_| KeyError::Signature)
}

/// The same for a signature in DER, as X.509 has it.
pub(crate) fn verify_der(
    public_key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), KeyError> {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public_key)
        .verify(message, signature)
        .map_err(|_| KeyError::Signature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crs_types::rng::SeededRng;

    #[test]
    fn signatures_verify_and_any_change_is_noticed() {
        let key = SigningKey::generate(&mut SeededRng::new(1));
        let signature = key.sign(b"message").unwrap();
        assert_eq!(signature.len(), SIGNATURE_LEN);
        assert_eq!(verify(key.public_key(), b"message", &signature), Ok(()));
        assert_eq!(verify(key.public_key(), b"massage", &signature), Err(KeyError::Signature));
        let other = SigningKey::generate(&mut SeededRng::new(2));
        assert_eq!(verify(other.public_key(), b"message", &signature), Err(KeyError::Signature));
    }

    #[test]
    fn der_integers_are_minimal_and_positive() {
        let mut fixed = [0; 64];
        fixed[31] = 0x7f;
        fixed[32] = 0x80;
        let der = der_signature(&fixed);
        assert_eq!(der[..5], [0x30, 38, 0x02, 1, 0x7f]);
        assert_eq!(der[5..9], [0x02, 33, 0, 0x80]);
        assert_eq!(der_signature(&[0; 64]), [0x30, 6, 2, 1, 0, 2, 1, 0]);
    }

    #[test]
    fn scalars_round_trip_and_bad_ones_are_refused() {
        let key = SigningKey::generate(&mut SeededRng::new(1));
        assert_eq!(SigningKey::from_scalar(key.scalar().expose()).unwrap(), key);
        assert_eq!(SigningKey::from_scalar(&[0; 32]), Err(KeyError::Private));
        assert_eq!(SigningKey::from_scalar(&[0xff; 32]), Err(KeyError::Private));
        assert_eq!(SigningKey::from_scalar(&[1; 31]), Err(KeyError::Private));
    }
}
