//! Account ids: one per security domain (C-007, C-268, D-14).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest account id in characters (C-268: the superset of both revisions).
pub const ACCOUNT_ID_MAX: usize = 20;

/// An account (security domain) id: 1–20 characters of `A-Z a-z 0-9 - _`.
///
/// Spelling is kept for display; equality, order and hash ignore ASCII case, because ids are
/// unique without regard to case. `Borrow<str>` is deliberately absent: it would break the
/// contract between `Hash` and `Eq`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(Arc<str>);

/// Why a text is not an account id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountIdError {
    /// Empty or longer than [`ACCOUNT_ID_MAX`].
    #[error("an account id has 1 to {ACCOUNT_ID_MAX} characters, this one has {0}")]
    Length(usize),
    /// A character outside `A-Z a-z 0-9 - _`.
    #[error("an account id holds only A-Z a-z 0-9 - _, not {0:?}")]
    Character(char),
}

impl AccountId {
    /// Parses and checks an id.
    pub fn parse(text: &str) -> Result<Self, AccountIdError> {
        let length = text.chars().count();
        if length == 0 || length > ACCOUNT_ID_MAX {
            return Err(AccountIdError::Length(length));
        }
        match text.chars().find(|c| !(c.is_ascii_alphanumeric() || *c == '-' || *c == '_')) {
            Some(c) => Err(AccountIdError::Character(c)),
            None => Ok(Self(text.into())),
        }
    }

    /// The id as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id folded to lower case: the form used in keys, paths and names.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    fn folded_bytes(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.bytes().map(|b| b.to_ascii_lowercase())
    }
}

impl PartialEq for AccountId {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for AccountId {}

impl PartialOrd for AccountId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for AccountId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded_bytes().cmp(other.folded_bytes())
    }
}

impl Hash for AccountId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.folded_bytes() {
            state.write_u8(byte);
        }
        state.write_u8(0xff);
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountId({})", self.0)
    }
}

impl FromStr for AccountId {
    type Err = AccountIdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for AccountId {
    type Error = AccountIdError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<AccountId> for String {
    fn from(id: AccountId) -> Self {
        id.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_kept_for_display_and_ignored_for_identity() {
        let a = AccountId::parse("Police-1").unwrap();
        let b = AccountId::parse("police-1").unwrap();
        assert_eq!(a, b);
        assert_eq!(a.cmp(&b), Ordering::Equal);
        assert_eq!(a.to_string(), "Police-1");
        assert_eq!(a.folded(), "police-1");
    }

    #[test]
    fn limits_are_enforced() {
        assert_eq!(AccountId::parse(""), Err(AccountIdError::Length(0)));
        assert!(AccountId::parse(&"a".repeat(20)).is_ok());
        assert_eq!(AccountId::parse(&"a".repeat(21)), Err(AccountIdError::Length(21)));
        assert_eq!(AccountId::parse("a/b"), Err(AccountIdError::Character('/')));
        assert_eq!(AccountId::parse("å"), Err(AccountIdError::Character('å')));
    }
}
