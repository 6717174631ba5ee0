//! Short-term credentials of a leg (RFC 8489 §9.1).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crs_types::Rng;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Length of a user name in bytes (144 random bits).
pub const UFRAG_LENGTH: usize = 24;
/// Length of a password in bytes (the HMAC key; 192 random bits).
pub const PASSWORD_LENGTH: usize = 32;

/// User name and password of one leg: ASCII, `A-Z a-z 0-9 - _`, so that SASLprep changes nothing.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct LegCredentials {
    #[zeroize(skip)]
    ufrag: [u8; UFRAG_LENGTH],
    password: [u8; PASSWORD_LENGTH],
}

/// A reply to `relay.alloc` holds something that is not a leg's credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a leg's user name has {UFRAG_LENGTH} ASCII characters, its password {PASSWORD_LENGTH}")]
pub struct CredentialsError;

impl LegCredentials {
    /// Fresh random credentials.
    pub fn generate(rng: &mut dyn Rng) -> Self {
        let mut random = [0u8; 42];
        rng.fill(&mut random);
        let mut text = [0u8; UFRAG_LENGTH + PASSWORD_LENGTH];
        // 42 bytes are exactly 56 characters; a shorter result would leave zeros, not panic.
        let _ = URL_SAFE_NO_PAD.encode_slice(random, &mut text);
        random.zeroize();
        let mut credentials = Self { ufrag: [0; UFRAG_LENGTH], password: [0; PASSWORD_LENGTH] };
        credentials.ufrag.copy_from_slice(&text[..UFRAG_LENGTH]);
        credentials.password.copy_from_slice(&text[UFRAG_LENGTH..]);
        text.zeroize();
        credentials
    }

    /// From the fields `ufrag` and `password` of a reply to `relay.alloc`.
    pub fn parse(ufrag: &str, password: &str) -> Result<Self, CredentialsError> {
        if !ufrag.is_ascii() || !password.is_ascii() {
            return Err(CredentialsError);
        }
        Ok(Self {
            ufrag: ufrag.as_bytes().try_into().map_err(|_| CredentialsError)?,
            password: password.as_bytes().try_into().map_err(|_| CredentialsError)?,
        })
    }

    /// The user name, as the key of the relay's table.
    pub fn ufrag(&self) -> &[u8; UFRAG_LENGTH] {
        &self.ufrag
    }

    /// The user name as text.
    pub fn ufrag_text(&self) -> &str {
        std::str::from_utf8(&self.ufrag).unwrap_or_default()
    }

    /// The password as text, for the reply to `relay.alloc` and nothing else.
    pub fn password_text(&self) -> &str {
        std::str::from_utf8(&self.password).unwrap_or_default()
    }

    pub(super) fn key(&self) -> &[u8; PASSWORD_LENGTH] {
        &self.password
    }
}

/// Never prints the password.
impl fmt::Debug for LegCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LegCredentials({})", self.ufrag_text())
    }
}
