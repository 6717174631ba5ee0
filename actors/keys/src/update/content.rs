//! The content of an update file and the checks it must pass.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crs_types::{AccountId, Generation, Period, Timestamp, Uri};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use super::{DOMAIN_TOKEN_MAX, ITEM_MAX, TEAM_CODES_MAX, TEAM_MEMBERS_MAX, USERS_MAX};
use crate::cbor::Bytes;
use crate::identity;
use crate::package::Delivery;
use crate::trust::{self, Connected};

/// Version of the content.
pub(super) const VERSION: u64 = 1;
/// Longest team code in characters.
const TEAM_CODE_MAX: usize = 32;

/// One month of one account. Field order is the deterministic one of [`crate::cbor`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateFile {
    /// Version of the content: 1.
    pub v: u64,
    /// The account's CAs (X.509 DER).
    pub cas: Vec<Bytes>,
    /// Trust list for the users, signed by a CA ([`crate::trust`]).
    pub trust: Bytes,
    /// Users in order of URI.
    pub users: Vec<UpdateUser>,
    /// The month.
    pub period: Period,
    /// Rises with every file of the account.
    pub serial: u64,
    /// The account.
    pub account: AccountId,
    /// When the file was made (milliseconds since the epoch).
    pub created: Timestamp,
    /// Connected domains with their CAs.
    pub connected: Vec<Connected>,
    /// Parameters of a foreign key management system; may be empty.
    pub kms_public: Bytes,
    /// Team codes and their members (C-016).
    pub team_codes: BTreeMap<TeamCode, Vec<Uri>>,
    /// Opaque token of the domain; may be empty.
    pub domain_token: Bytes,
}

/// A user in an update file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateUser {
    /// The user.
    pub uri: Uri,
    /// True when others may look the user up.
    pub listed: bool,
    /// The user's private keys, sealed to the enrolment key: opaque to the server. This alone is
    /// *not* what `upd.get` returns: see [`UpdateFile::delivery`].
    #[serde(rename = "package")]
    pub sealed: Bytes,
    /// Encapsulation certificate ([`crate::kem_cert`]).
    pub kem_cert: Bytes,
    /// Signing certificate (X.509 DER).
    pub sign_cert: Bytes,
    /// Generation of the keys.
    pub generation: u32,
}

/// A team code: 1 to 32 characters of `A-Z a-z 0-9 - _ .`. Ordered by length, then bytes, as
/// deterministic CBOR wants map keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TeamCode(String);

/// A text is not a team code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a team code has 1 to {TEAM_CODE_MAX} characters of A-Z a-z 0-9 - _ ., got {0:?}")]
pub struct TeamCodeError(String);

impl UpdateFile {
    /// What `upd.get` returns to a user: its sealed keys with both certificates and the trust
    /// list, in the form that [`crate::package::open`] reads.
    pub fn delivery(&self, user: &UpdateUser) -> Vec<u8> {
        Delivery::new(&self.trust, user).encode()
    }

    /// The user's entry.
    pub fn user(&self, uri: &Uri) -> Option<&UpdateUser> {
        let index = self.users.binary_search_by(|user| user.uri.cmp(uri)).ok()?;
        self.users.get(index)
    }

    /// The account's CAs as certificates.
    pub fn ca_certificates(&self) -> Vec<CertificateDer<'static>> {
        self.cas.iter().map(|ca| CertificateDer::from(ca.0.clone())).collect()
    }

    /// Checks everything that can be checked without keys; says what is wrong.
    pub(super) fn check(&self) -> Result<(), String> {
        trust::cas_from_wire(&self.cas).map_err(|error| error.to_string())?;
        trust::connected_from_wire(&self.account, &self.connected)
            .map_err(|error| error.to_string())?;
        at_most("users", self.users.len(), USERS_MAX)?;
        at_most("team codes", self.team_codes.len(), TEAM_CODES_MAX)?;
        at_most("bytes of domain token", self.domain_token.0.len(), DOMAIN_TOKEN_MAX)?;
        at_most("bytes of KMS parameters", self.kms_public.0.len(), ITEM_MAX)?;
        if !self.users.is_sorted_by(|a, b| a.uri < b.uri) {
            return Err("users are not in order of URI, or one appears twice".into());
        }
        self.users.iter().try_for_each(|user| self.check_user(user))?;
        for (code, members) in &self.team_codes {
            at_most("members of a team code", members.len(), TEAM_MEMBERS_MAX)?;
            let unique: BTreeSet<_> = members.iter().collect();
            if unique.len() != members.len() {
                return Err(format!("team code {code} names a member twice"));
            }
        }
        Ok(())
    }

    fn check_user(&self, user: &UpdateUser) -> Result<(), String> {
        for item in [&user.sealed, &user.kem_cert, &user.sign_cert] {
            at_most("bytes of an item of a user", item.0.len(), ITEM_MAX)?;
        }
        let certificate = CertificateDer::from(user.sign_cert.as_slice());
        let claimed = identity::unverified(&certificate)
            .map_err(|error| format!("certificate of {}: {error}", user.uri))?;
        let matches = claimed.account == self.account
            && claimed.uri == user.uri
            && claimed.period == self.period
            && claimed.generation == Generation(user.generation);
        if !matches || user.uri.is_test_client() {
            return Err(format!("certificate of {} is of another user or period", user.uri));
        }
        Ok(())
    }
}

fn at_most(what: &str, found: usize, most: usize) -> Result<(), String> {
    if found > most { Err(format!("{found} {what}, at most {most}")) } else { Ok(()) }
}

impl TeamCode {
    /// Parses and checks a code.
    pub fn parse(text: &str) -> Result<Self, TeamCodeError> {
        let ok = !text.is_empty()
            && text.len() <= TEAM_CODE_MAX
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if ok {
            Ok(Self(text.to_owned()))
        } else {
            Err(TeamCodeError(text.chars().take(40).collect()))
        }
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialOrd for TeamCode {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TeamCode {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0.len(), &self.0).cmp(&(other.0.len(), &other.0))
    }
}

impl fmt::Display for TeamCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for TeamCode {
    type Err = TeamCodeError;
    fn from_str(text: &str) -> Result<Self, TeamCodeError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for TeamCode {
    type Error = TeamCodeError;
    fn try_from(text: String) -> Result<Self, TeamCodeError> {
        Self::parse(&text)
    }
}

impl From<TeamCode> for String {
    fn from(code: TeamCode) -> Self {
        code.0
    }
}
