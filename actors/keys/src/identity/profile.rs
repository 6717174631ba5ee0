//! The two encodings that are ours: the subjectAltName URI and the key period extension.

use crs_types::{AccountId, Generation, Period, Uri};

use super::{Claimed, IdentityError};

/// OID of the extension with period and generation, under the UUID arc (ITU-T X.667): the number
/// is the upper 63 bits of SHA-256("crs.v1 certificate extension: key period"), so that no
/// registration is needed and a clash is out of the question.
pub const KEY_PERIOD_OID: [u64; 3] = [2, 25, KEY_PERIOD_ARC];
const KEY_PERIOD_ARC: u64 = 0x1edf_267a_f973_7eb2;

const SAN_PREFIX: &str = "urn:crs:user:";
/// Version of the extension's content.
const KEY_PERIOD_VERSION: u8 = 1;

/// The subjectAltName URI of a user.
pub fn san_of(account: &AccountId, uri: &Uri) -> String {
    format!("{SAN_PREFIX}{account}:{}", percent_encode(uri.as_str()))
}

/// Parses a subjectAltName URI.
pub fn parse_san(text: &str) -> Result<Claimed, IdentityError> {
    let refuse = || IdentityError::San(text.chars().take(80).collect());
    let rest = text.strip_prefix(SAN_PREFIX).ok_or_else(refuse)?;
    let (account, encoded) = rest.split_once(':').ok_or_else(refuse)?;
    let account = AccountId::parse(account).map_err(|_| refuse())?;
    let decoded = percent_decode(encoded).ok_or_else(refuse)?;
    let uri = Uri::parse(&decoded).map_err(|_| refuse())?;
    // One user, one spelling: only the canonical form is a name.
    if uri.as_str() != decoded || percent_encode(&decoded) != encoded {
        return Err(refuse());
    }
    Ok(Claimed { account, uri })
}

/// DER of the extension: `SEQUENCE { INTEGER version, PrintableString period, INTEGER generation }`.
pub fn encode_key_period(period: Period, generation: Generation) -> Vec<u8> {
    let text = period.to_string();
    let number = der_unsigned(generation.0);
    let mut content = vec![0x02, 1, KEY_PERIOD_VERSION, 0x13, text.len() as u8];
    content.extend_from_slice(text.as_bytes());
    content.extend_from_slice(&[0x02, number.len() as u8]);
    content.extend_from_slice(&number);
    let mut out = vec![0x30, content.len() as u8];
    out.extend_from_slice(&content);
    out
}

/// Parses the extension; only the one DER form is accepted.
pub fn parse_key_period(der: &[u8]) -> Option<(Period, Generation)> {
    let period = der.get(7..14)?;
    let period: Period = std::str::from_utf8(period).ok()?.parse().ok()?;
    let number = der.get(16..)?;
    if number.is_empty() || number.len() > 5 || number[0] & 0x80 != 0 {
        return None;
    }
    let value = number.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    let generation = Generation(u32::try_from(value).ok()?);
    // Re-encoding is the strictest possible check of tags, lengths and minimal integers.
    (encode_key_period(period, generation) == der).then_some((period, generation))
}

/// Minimal big-endian two's complement of a non-negative number.
fn der_unsigned(value: u32) -> Vec<u8> {
    let bytes = u64::from(value).to_be_bytes();
    let first = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len() - 1);
    let start = if bytes[first] & 0x80 != 0 { first - 1 } else { first };
    bytes[start..].to_vec()
}

/// Percent-encodes everything but RFC 3986 *unreserved* characters, with upper-case hex.
fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            out.push((high << 4 | low) as u8);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_oid_is_what_its_comment_says() {
        let hash = crate::derive::sha256(b"crs.v1 certificate extension: key period");
        let upper = u64::from_be_bytes(hash[..8].try_into().unwrap());
        assert_eq!(KEY_PERIOD_ARC, upper >> 1);
    }

    #[test]
    fn san_round_trips_and_keeps_the_spelling_of_the_account() {
        let account = AccountId::parse("Police-1").unwrap();
        let uri = Uri::parse("+46701234567").unwrap();
        let san = san_of(&account, &uri);
        assert_eq!(san, "urn:crs:user:Police-1:tel%3A%2B46701234567");
        let claimed = parse_san(&san).unwrap();
        assert_eq!(claimed.account.as_str(), "Police-1");
        assert_eq!(claimed.uri, uri);
    }

    #[test]
    fn other_spellings_of_a_user_are_not_names() {
        for text in [
            "urn:crs:user:a:tel:+46701234567",
            "urn:crs:user:a:tel%3a%2b46701234567",
            "urn:crs:user:a:%2B46701234567",
            "urn:crs:user:a:0046701234567",
            "urn:crs:user::tel%3A%2B46701234567",
            "urn:crs:user:a",
            "urn:crs:node:a:tel%3A%2B46701234567",
            "urn:crs:user:a:tel%3A%2B4670123456%",
        ] {
            assert!(matches!(parse_san(text), Err(IdentityError::San(_))), "{text}");
        }
    }

    #[test]
    fn key_period_round_trips_at_the_edges_of_its_integer() {
        let period: Period = "2026-11".parse().unwrap();
        for number in [0, 1, 127, 128, 255, 256, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
            let der = encode_key_period(period, Generation(number));
            assert_eq!(parse_key_period(&der), Some((period, Generation(number))), "{number}");
        }
    }

    proptest! {
        #[test]
        fn decoders_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), text in ".{0,60}") {
            let _ = parse_key_period(&bytes);
            let _ = parse_san(&text);
            let _ = parse_san(&format!("urn:crs:user:a:{text}"));
        }
    }
}
