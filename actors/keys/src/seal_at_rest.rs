//! Secrets at rest: AES-256-GCM under a key derived from the pool key, wherever a secret
//! is stored: log, tables, snapshots, backups.
//!
//! Form: version byte 1 | key id (4 bytes) | nonce (12) | ciphertext and tag. The context (kind
//! and name of the record) is associated data, so that a sealed secret cannot be moved to another
//! record. Two pool keys may be in use while one is being replaced.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use crs_types::{Rng, Secret};

use crate::derive;

const VERSION: u8 = 1;
const KEY_ID_LEN: usize = 4;
const NONCE_LEN: usize = 12;
const HEAD_LEN: usize = 1 + KEY_ID_LEN + NONCE_LEN;

/// Seals under the newest pool key and opens under any of them.
pub struct Sealer {
    keys: Vec<SealKey>,
}

struct SealKey {
    id: [u8; KEY_ID_LEN],
    key: LessSafeKey,
}

/// Why sealing or opening failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// No pool key.
    #[error("no pool key to seal with")]
    NoKey,
    /// Too short to be a sealed secret.
    #[error("not a sealed secret: too short")]
    TooShort,
    /// An unknown form.
    #[error("a sealed secret of version {0}, this program knows 1: update this program")]
    Version(u8),
    /// Sealed under a pool key that is not configured.
    #[error("sealed under a pool key that is not configured: add the former key as second key")]
    UnknownKey,
    /// The context differs or the bytes were changed.
    #[error("the sealed secret was changed, or belongs to another record")]
    Open,
    /// The crypto provider failed.
    #[error("the crypto provider failed")]
    Provider,
}

impl Sealer {
    /// From the pool keys, newest first.
    pub fn new(pool_keys: &[&Secret]) -> Result<Self, SealError> {
        let keys = pool_keys.iter().map(|key| SealKey::new(key)).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(SealError::NoKey) } else { Ok(Self { keys }) }
    }

    /// Seals a secret for the record named by `context`, for example `account/acme/secret`.
    pub fn seal(
        &self,
        context: &str,
        secret: &Secret,
        rng: &mut dyn Rng,
    ) -> Result<Vec<u8>, SealError> {
        let newest = self.keys.first().ok_or(SealError::NoKey)?;
        let mut nonce = [0; NONCE_LEN];
        rng.fill(&mut nonce);
        let mut body = secret.expose().to_vec();
        newest
            .key
            .seal_in_place_append_tag(Nonce::from(&nonce), Aad::from(context), &mut body)
            .map_err(|_| SealError::Provider)?;
        let mut out = vec![VERSION];
        out.extend_from_slice(&newest.id);
        out.extend_from_slice(&nonce);
        out.extend(body);
        Ok(out)
    }

    /// Opens a sealed secret of the record named by `context`.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Secret, SealError> {
        let (head, body) = sealed.split_at_checked(HEAD_LEN).ok_or(SealError::TooShort)?;
        if head[0] != VERSION {
            return Err(SealError::Version(head[0]));
        }
        let key = self.key_of(head).ok_or(SealError::UnknownKey)?;
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&head[1 + KEY_ID_LEN..]);
        let mut buffer = zeroize::Zeroizing::new(body.to_vec());
        let plain = key
            .key
            .open_in_place(Nonce::from(&nonce), Aad::from(context), &mut buffer)
            .map_err(|_| SealError::Open)?;
        Ok(Secret::new(plain.to_vec()))
    }

    /// True when the secret is sealed under a former key and should be sealed again.
    pub fn is_stale(&self, sealed: &[u8]) -> bool {
        let newest = self.keys.first().map(|key| key.id.as_slice());
        sealed.get(1..1 + KEY_ID_LEN) != newest
    }

    fn key_of(&self, head: &[u8]) -> Option<&SealKey> {
        self.keys.iter().find(|key| key.id == head[1..1 + KEY_ID_LEN])
    }
}

impl SealKey {
    fn new(pool_key: &Secret) -> Result<Self, SealError> {
        let key = derive::derive::<32>(pool_key.expose(), derive::AT_REST);
        let id = derive::derive::<KEY_ID_LEN>(pool_key.expose(), derive::AT_REST_KEY_ID);
        let unbound =
            UnboundKey::new(&AES_256_GCM, key.as_slice()).map_err(|_| SealError::Provider)?;
        Ok(Self { id: *id, key: LessSafeKey::new(unbound) })
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealer({} keys)", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crs_types::rng::SeededRng;
    use proptest::prelude::*;

    fn pool_key(seed: u64) -> Secret {
        Secret::generate(&mut SeededRng::new(seed), 32)
    }

    fn secret() -> Secret {
        Secret::new(b"the account secret".to_vec())
    }

    #[test]
    fn a_sealed_secret_opens_for_its_record_only() {
        let sealer = Sealer::new(&[&pool_key(1)]).unwrap();
        let sealed = sealer.seal("account/a/secret", &secret(), &mut SeededRng::new(9)).unwrap();
        assert_eq!(sealer.open("account/a/secret", &sealed), Ok(secret()));
        assert_eq!(sealer.open("account/b/secret", &sealed), Err(SealError::Open));
        let stranger = Sealer::new(&[&pool_key(2)]).unwrap();
        assert_eq!(stranger.open("account/a/secret", &sealed), Err(SealError::UnknownKey));
    }

    #[test]
    fn a_former_key_opens_and_is_called_stale() {
        let old = Sealer::new(&[&pool_key(1)]).unwrap();
        let both = Sealer::new(&[&pool_key(2), &pool_key(1)]).unwrap();
        let sealed = old.seal("x", &secret(), &mut SeededRng::new(9)).unwrap();
        assert_eq!(both.open("x", &sealed), Ok(secret()));
        assert!(both.is_stale(&sealed));
        let again = both.seal("x", &secret(), &mut SeededRng::new(9)).unwrap();
        assert!(!both.is_stale(&again));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let sealer = Sealer::new(&[&pool_key(1)]).unwrap();
        let sealed = sealer.seal("x", &secret(), &mut SeededRng::new(9)).unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(sealer.open("x", &changed).is_err(), "byte {index}");
        }
        assert_eq!(Sealer::new(&[]).unwrap_err(), SealError::NoKey);
    }

    proptest! {
        #[test]
        fn opening_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let sealer = Sealer::new(&[&pool_key(1)]).unwrap();
            prop_assert!(sealer.open("x", &bytes).is_err());
        }
    }
}
