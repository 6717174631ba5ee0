//! Secrets: wiped when dropped, never printed, compared in constant time.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::Rng;

/// Secret bytes. `Debug` prints only the length; serialisation (for sealed storage and for files
/// that only their owner can read) is the one way out besides [`Secret::expose`].
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes ownership of the bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// A fresh random secret of `length` bytes.
    pub fn generate(rng: &mut dyn Rng, length: usize) -> Self {
        let mut bytes = vec![0; length];
        rng.fill(&mut bytes);
        Self(bytes)
    }

    /// The bytes. Callers must not store or print them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Standard base64, as operators exchange it (C-269).
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(&self.0))
    }

    /// From standard base64.
    pub fn from_base64(text: &str) -> Option<Self> {
        STANDARD.decode(text.trim()).ok().map(Self::new)
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SeededRng;

    #[test]
    fn debug_output_never_holds_the_secret() {
        let secret = Secret::new(b"hunter2hunter2".to_vec());
        assert_eq!(format!("{secret:?}"), "Secret(14 bytes)");
    }

    #[test]
    fn base64_round_trips_and_comparison_is_by_value() {
        let secret = Secret::generate(&mut SeededRng::new(1), 16);
        assert_eq!(Secret::from_base64(&secret.to_base64()), Some(secret.clone()));
        assert_ne!(secret, Secret::generate(&mut SeededRng::new(2), 16));
        assert_eq!(Secret::from_base64("not base64!"), None);
    }
}
