//! The versioned binary envelope of everything stored or sent between nodes:
//! `[version byte | bincode 2 payload]`.
//!
//! This module is the only one in the workspace that names bincode. Its encoding is not
//! self-describing, so a payload may only ever be decoded as the type of its version.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Version of an encoded type. Raised whenever the type's layout changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u8);

/// Why bytes could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No bytes at all.
    #[error("empty record")]
    Empty,
    /// A version this program does not know.
    #[error("record of version {found}, this program reads version {expected}")]
    Version {
        /// The newest version that is understood.
        expected: u8,
        /// What the record says.
        found: u8,
    },
    /// Longer than the caller allows.
    #[error("record of {found} bytes, at most {limit} are accepted")]
    TooLong {
        /// The caller's limit in bytes.
        limit: usize,
        /// The record's length in bytes.
        found: usize,
    },
    /// The payload is not a value of the expected type.
    #[error("malformed record: {0}")]
    Malformed(String),
}

/// A value could not be encoded (a map of unknown length, say): always a programmer's error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("value cannot be encoded: {0}")]
pub struct EncodeError(String);

/// Decoding never allocates more than this for one record, whatever lengths it claims.
const ALLOCATION_LIMIT: usize = 64 * 1024 * 1024;

/// Encodes a value behind its version byte.
pub fn encode<T: Serialize>(version: Version, value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut out = vec![version.0];
    bincode::serde::encode_into_std_write(value, &mut out, bincode::config::standard())
        .map_err(|e| EncodeError(e.to_string()))?;
    Ok(out)
}

/// Decodes a value of exactly this version; trailing bytes are an error.
pub fn decode<T: DeserializeOwned>(
    version: Version,
    bytes: &[u8],
    limit: usize,
) -> Result<T, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLong { limit, found: bytes.len() });
    }
    let payload = payload_of(version, bytes)?;
    let config = bincode::config::standard().with_limit::<ALLOCATION_LIMIT>();
    let (value, used) = bincode::serde::decode_from_slice(payload, config)
        .map_err(|e| DecodeError::Malformed(e.to_string()))?;
    nothing_follows(payload, used).map(|()| value)
}

/// Like [`decode`], for values that borrow their byte strings from `bytes`.
pub fn decode_borrowed<'a, T: Deserialize<'a>>(
    version: Version,
    bytes: &'a [u8],
) -> Result<T, DecodeError> {
    let payload = payload_of(version, bytes)?;
    let config = bincode::config::standard().with_limit::<ALLOCATION_LIMIT>();
    let (value, used) = bincode::serde::borrow_decode_from_slice(payload, config)
        .map_err(|e| DecodeError::Malformed(e.to_string()))?;
    nothing_follows(payload, used).map(|()| value)
}

fn payload_of(version: Version, bytes: &[u8]) -> Result<&[u8], DecodeError> {
    let (found, payload) = bytes.split_first().ok_or(DecodeError::Empty)?;
    if *found != version.0 {
        return Err(DecodeError::Version { expected: version.0, found: *found });
    }
    Ok(payload)
}

fn nothing_follows(payload: &[u8], used: usize) -> Result<(), DecodeError> {
    match payload.len() - used {
        0 => Ok(()),
        extra => Err(DecodeError::Malformed(format!("{extra} bytes follow the value"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: Version = Version(1);

    #[test]
    fn values_round_trip() {
        let bytes = encode(V1, &("abc", 7u64)).unwrap();
        assert_eq!(bytes[0], 1);
        assert_eq!(decode::<(String, u64)>(V1, &bytes, 100), Ok(("abc".to_owned(), 7)));
    }

    #[test]
    fn unknown_versions_and_damage_are_named() {
        let mut bytes = encode(V1, &7u64).unwrap();
        assert_eq!(
            decode::<u64>(Version(2), &bytes, 100),
            Err(DecodeError::Version { expected: 2, found: 1 })
        );
        bytes.push(0);
        assert!(matches!(decode::<u64>(V1, &bytes, 100), Err(DecodeError::Malformed(_))));
        assert_eq!(decode::<u64>(V1, &[], 100), Err(DecodeError::Empty));
        assert_eq!(
            decode::<u64>(V1, &[1; 101], 100),
            Err(DecodeError::TooLong { limit: 100, found: 101 })
        );
    }

    #[test]
    fn a_claimed_length_does_not_allocate() {
        // A byte string that says it is 2^63 long.
        let bytes = [1, 253, 0, 0, 0, 0, 0, 0, 0, 0x80];
        assert!(matches!(decode::<Vec<u8>>(V1, &bytes, 100), Err(DecodeError::Malformed(_))));
    }
}
