//! Client URIs: telephone numbers and test clients (Q-10, C-011, C-388).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Most digits of a global number (RFC 3966, E.164).
pub const NUMBER_DIGITS_MAX: usize = 15;
/// Longest id part of a test client.
const TEST_ID_MAX: usize = 64;
const TEST_PREFIX: &str = "urn:x-crs:client:test-";

/// A user's address in canonical form: `tel:+<digits>` or `urn:x-crs:client:test-<index>-<id>`.
///
/// Accepted spellings of a number: `tel:+46…`, `+46…`, `0046…`. [`fmt::Display`] prints the
/// number without `tel:`, as all operator output does; [`Uri::as_str`] is the canonical form
/// that goes into keys, certificates and hashes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Uri(Arc<str>);

/// Why a text is not a URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Neither a global number nor a test client.
    #[error("expected a number such as +46701234567 (also tel:+46… or 0046…), got {0:?}")]
    Form(String),
    /// Too few or too many digits.
    #[error("a global number has 3 to {NUMBER_DIGITS_MAX} digits, this one has {0}")]
    Digits(usize),
    /// A malformed `urn:x-crs:client:test-…`.
    #[error("a test client is urn:x-crs:client:test-<index>-<id>")]
    TestClient,
}

impl Uri {
    /// Parses any accepted spelling into the canonical form.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        if let Some(rest) = text.strip_prefix(TEST_PREFIX) {
            return parse_test(rest).ok_or(UriError::TestClient);
        }
        let digits = text
            .strip_prefix("tel:+")
            .or_else(|| text.strip_prefix('+'))
            .or_else(|| text.strip_prefix("00"))
            .ok_or_else(|| UriError::Form(shortened(text)))?;
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(UriError::Form(shortened(text)));
        }
        if digits.len() < 3 || digits.len() > NUMBER_DIGITS_MAX {
            return Err(UriError::Digits(digits.len()));
        }
        Ok(Self(format!("tel:+{digits}").into()))
    }

    /// The URI of a temporary test client (C-388). `id` holds `A-Z a-z 0-9 -` only.
    pub fn test_client(index: u32, id: &str) -> Result<Self, UriError> {
        parse_test(&format!("{index}-{id}")).ok_or(UriError::TestClient)
    }

    /// The canonical form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for the temporary clients of the health check.
    pub fn is_test_client(&self) -> bool {
        self.0.starts_with(TEST_PREFIX)
    }
}

fn parse_test(rest: &str) -> Option<Uri> {
    let (index, id) = rest.split_once('-')?;
    let index: u32 = index.parse().ok()?;
    let id_ok = !id.is_empty()
        && id.len() <= TEST_ID_MAX
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    id_ok.then(|| Uri(format!("{TEST_PREFIX}{index}-{id}").into()))
}

/// Error texts never repeat more than a line's worth of what came in.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.strip_prefix("tel:").unwrap_or(&self.0))
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uri({})", self.0)
    }
}

impl FromStr for Uri {
    type Err = UriError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Uri {
    type Error = UriError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Uri> for String {
    fn from(uri: Uri) -> Self {
        uri.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_number_is_one_uri() {
        for text in ["tel:+46701234567", "+46701234567", "0046701234567"] {
            assert_eq!(Uri::parse(text).unwrap().as_str(), "tel:+46701234567");
        }
        assert_eq!(Uri::parse("+46701234567").unwrap().to_string(), "+46701234567");
    }

    #[test]
    fn test_clients_round_trip() {
        let uri = Uri::test_client(1, "a1b2").unwrap();
        assert_eq!(uri.as_str(), "urn:x-crs:client:test-1-a1b2");
        assert!(uri.is_test_client());
        assert_eq!(Uri::parse(uri.as_str()), Ok(uri));
    }

    #[test]
    fn malformed_texts_are_refused() {
        for text in ["", "46701", "+", "tel:+", "+46 70", "+46a", "tel:46701", "sip:+46@x"] {
            assert!(matches!(Uri::parse(text), Err(UriError::Form(_))), "{text}");
        }
        assert_eq!(Uri::parse("+1234567890123456"), Err(UriError::Digits(16)));
        let long = "x".repeat(TEST_ID_MAX + 1);
        assert_eq!(Uri::test_client(1, &long), Err(UriError::TestClient));
        assert!(Uri::test_client(1, &long[1..]).is_ok());
        assert_eq!(Uri::parse("urn:x-crs:client:test-x-1"), Err(UriError::TestClient));
        assert_eq!(Uri::parse("urn:x-crs:client:test-1-"), Err(UriError::TestClient));
    }
}
