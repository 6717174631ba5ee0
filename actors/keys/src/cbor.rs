//! CBOR (RFC 8949): byte strings for serde, deterministic encoding, strict decoding.
//!
//! Structs that go into files list their fields in the order of RFC 8949 §4.2.1 (shorter names
//! first, then bytewise), so that serde's field order is the deterministic one; a test checks
//! every such struct by re-sorting.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A CBOR byte string; base64 text in JSON. `Debug` prints only the length, for some hold ciphertext or keys.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub Vec<u8>);

/// CBOR that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    /// Not the expected structure.
    #[error("malformed CBOR: {0}")]
    Malformed(String),
    /// Bytes follow the item.
    #[error("{0} bytes follow the CBOR item")]
    Trailing(usize),
    /// A structure of a version this program does not know.
    #[error("{what} has version {found}, this program knows up to {known}: update this program")]
    Version {
        /// What was being read.
        what: &'static str,
        /// The version found.
        found: u64,
        /// The newest version known here.
        known: u64,
    },
}

/// Encodes a value. Encoding our own structs into memory cannot fail.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    ciborium::into_writer(value, &mut out)
        .expect("structs of this crate have only encodable fields");
    out
}

/// Decodes exactly one item. Memory follows the bytes present, never a claimed length.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CborError> {
    let mut rest = bytes;
    let value = ciborium::de::from_reader_with_recursion_limit(&mut rest, DEPTH_MAX)
        .map_err(|error| CborError::Malformed(error.to_string().chars().take(200).collect()))?;
    if rest.is_empty() { Ok(value) } else { Err(CborError::Trailing(rest.len())) }
}

/// Decodes a struct whose field `v` must be `known`; an unknown version is refused by name before
/// any other field is looked at.
pub(crate) fn decode_versioned<T: DeserializeOwned>(
    what: &'static str,
    known: u64,
    bytes: &[u8],
) -> Result<T, CborError> {
    #[derive(Deserialize)]
    struct Head {
        v: u64,
    }
    let found = decode::<Head>(bytes)?.v;
    if found != known {
        return Err(CborError::Version { what, found, known });
    }
    decode(bytes)
}

/// Deepest nesting accepted.
const DEPTH_MAX: usize = 16;

impl Bytes {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({})", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&STANDARD.encode(&self.0));
        }
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            return STANDARD.decode(text).map(Self).map_err(D::Error::custom);
        }
        deserializer.deserialize_byte_buf(BytesVisitor)
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a byte string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes(bytes.to_vec()))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(Bytes(bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Bytes, A::Error> {
        Err(A::Error::custom("expected a byte string, got an array"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ciborium::Value;

    /// Panics unless every map in `bytes` is in deterministic order (RFC 8949 §4.2.1).
    pub(crate) fn assert_deterministic(bytes: &[u8]) {
        #[allow(clippy::wildcard_enum_match_arm, reason = "a foreign, non-exhaustive enum")]
        fn check(value: &Value) {
            match value {
                Value::Map(entries) => {
                    let keys: Vec<_> = entries.iter().map(|(key, _)| encode(key)).collect();
                    assert!(keys.is_sorted(), "map keys out of order: {entries:?}");
                    entries.iter().for_each(|(_, value)| check(value));
                }
                Value::Array(items) => items.iter().for_each(check),
                Value::Tag(_, inner) => check(inner),
                _ => {}
            }
        }
        let value: Value = decode(bytes).unwrap();
        assert_eq!(encode(&value), bytes);
        check(&value);
    }

    #[test]
    fn lengths_beyond_the_input_are_refused_without_allocation() {
        // A byte string that claims 2^60 bytes, and an array that claims as many items.
        assert!(decode::<Bytes>(&[0x5b, 0x10, 0, 0, 0, 0, 0, 0, 0, 1]).is_err());
        assert!(decode::<Vec<u64>>(&[0x9b, 0x10, 0, 0, 0, 0, 0, 0, 0, 1]).is_err());
    }

    #[test]
    fn trailing_bytes_and_deep_nesting_are_refused() {
        assert_eq!(decode::<u64>(&[1, 2]), Err(CborError::Trailing(1)));
        assert!(decode::<Value>(&[0x81; 5000]).is_err());
    }
}
