//! SRTP key derivation (RFC 3711 §4.3) with AES-CM, key derivation rate 0.

use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use crs_types::Secret;
use zeroize::Zeroizing;

use super::Profile;

const LABEL_KEY: u8 = 0;
const LABEL_SALT: u8 = 2;

/// Master key and salt of one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterKey {
    pub(super) profile: Profile,
    pub(super) key: Secret,
    pub(super) salt: Secret,
}

/// Session key and salt of one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionKey {
    pub(super) profile: Profile,
    pub(super) key: Secret,
    pub(super) salt: Secret,
}

impl MasterKey {
    /// A key of [`Profile::key_len`] bytes and a salt of 12.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Self {
        Self { profile, key: Secret::new(key.to_vec()), salt: Secret::new(salt.to_vec()) }
    }

    /// The session key. `None` when key or salt have the wrong length.
    pub fn session(&self) -> Option<SessionKey> {
        if self.key.len() != self.profile.key_len() || self.salt.len() != 12 {
            return None;
        }
        let key = self.derive(LABEL_KEY, self.profile.key_len())?;
        let salt = self.derive(LABEL_SALT, 12)?;
        Some(SessionKey { profile: self.profile, key, salt })
    }

    /// The first `length` bytes of the AES-CM key stream for a label. The 96-bit salt is padded
    /// with 16 zero bits on the right (RFC 7714 §11); label and index follow RFC 3711 §4.3.1.
    fn derive(&self, label: u8, length: usize) -> Option<Secret> {
        let mut iv = [0u8; 16];
        iv.get_mut(..self.salt.len())?.copy_from_slice(self.salt.expose());
        iv[7] ^= label;
        let algorithm = match self.profile {
            Profile::Aes128Gcm => &AES_128,
            Profile::Aes256Gcm => &AES_256,
        };
        let key = UnboundCipherKey::new(algorithm, self.key.expose()).ok()?;
        let mut out = Zeroizing::new(vec![0; length]);
        EncryptingKey::ctr(key)
            .ok()?
            .less_safe_encrypt(&mut out, EncryptionContext::Iv128(FixedLength::from(iv)))
            .ok()?;
        Some(Secret::new(out.to_vec()))
    }
}

impl SessionKey {
    /// Session keys as given, for test vectors.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Self {
        Self { profile, key: Secret::new(key.to_vec()), salt: Secret::new(salt.to_vec()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3711 appendix B.3: the 14-byte salt of the example is given here whole, because AES-CM
    /// does not care that GCM profiles use 12 bytes of it.
    #[test]
    fn the_key_stream_is_that_of_rfc_3711() {
        let key = [
            0xe1, 0xf9, 0x7a, 0x0d, 0x3e, 0x01, 0x8b, 0xe0, 0xd6, 0x4f, 0xa3, 0x2c, 0x06, 0xde,
            0x41, 0x39,
        ];
        let salt =
            [0x0e, 0xc6, 0x75, 0xad, 0x49, 0x8a, 0xfe, 0xeb, 0xb6, 0x96, 0x0b, 0x3a, 0xab, 0xe6];
        let master = MasterKey::new(Profile::Aes128Gcm, &key, &salt);
        let session_key = master.derive(LABEL_KEY, 16).unwrap();
        assert_eq!(
            session_key.expose(),
            [
                0xc6, 0x1e, 0x7a, 0x93, 0x74, 0x4f, 0x39, 0xee, 0x10, 0x73, 0x4a, 0xfe, 0x3f, 0xf7,
                0xa0, 0x87
            ]
        );
        let session_salt = master.derive(LABEL_SALT, 14).unwrap();
        assert_eq!(
            session_salt.expose(),
            [0x30, 0xcb, 0xbc, 0x08, 0x86, 0x3d, 0x8c, 0x85, 0xd4, 0x9d, 0xb3, 0x4a, 0x9a, 0xe1]
        );
        assert_eq!(master.session(), None, "a 14-byte salt is not one of a GCM profile");
    }
}
