//! Users' identity: the certificate profile, its issuing side and its verification.
//!
//! Profile (normative text: docs/protocol-e2e.md, *Certificates*): ECDSA P-256; exactly one
//! subjectAltName, a URI `urn:crs:user:<account>:<percent-encoded canonical uri>`; extended key
//! usage clientAuth; the private extension [`profile::KEY_PERIOD_OID`] with period and
//! generation; valid from the start of the month to its end plus 60 days.
//!
//! Order of use: [`claimed`] names the account and user before anything is checked, so that the
//! caller can pick *that account's* CAs; [`verify_client`] then decides; what the identity
//! may do at this moment is [`crs_types::Period::standing`].

mod issuer;
pub mod profile;
mod verify;

use crs_types::{AccountId, Generation, Period, Uri};
use rustls_pki_types::CertificateDer;

pub use issuer::{IssuerId, issuer};
pub(crate) use verify::{parse, verify_certificate};
pub use verify::{refuse, subject_public_key, verify_ca, verify_client};

/// A user of an account with keys of one period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserIdentity {
    /// The security domain, as spelt in the certificate (equality ignores case).
    pub account: AccountId,
    /// The user.
    pub uri: Uri,
    /// Month of the keys.
    pub period: Period,
    /// Generation of the keys; the caller compares it with the account's newest update.
    pub generation: Generation,
}

/// Account and user as a certificate claims them: nothing has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Whose CAs to check against.
    pub account: AccountId,
    /// The user; a test client is checked against the health check's CA ([`crate::test_ca`]).
    pub uri: Uri,
}

/// Why a certificate chain was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not an X.509 certificate.
    #[error("not an X.509 certificate in DER")]
    Malformed,
    /// No subjectAltName.
    #[error("the certificate has no subjectAltName; expected one URI urn:crs:user:…")]
    NoSan,
    /// More than one subjectAltName.
    #[error("the certificate has {0} subjectAltNames; expected one URI urn:crs:user:…")]
    ManySans(usize),
    /// A subjectAltName that is not `urn:crs:user:<account>:<uri>`.
    #[error("the subjectAltName is not urn:crs:user:<account>:<percent-encoded uri>: {0}")]
    San(String),
    /// The extension with period and generation is missing or malformed.
    #[error("the extension with key period and generation is missing or malformed")]
    KeyPeriod,
    /// Not issued by any CA of the account, or the signature does not verify.
    #[error("not issued by a CA of account {account}")]
    NotIssuedByAccount {
        /// The account the certificate claims.
        account: AccountId,
    },
    /// There is no CA to check against.
    #[error("account {account} has no CA")]
    NoCa {
        /// The account the certificate claims.
        account: AccountId,
    },
    /// A CA certificate of the account cannot be used.
    #[error("CA certificate {0} of the account is not a usable P-256 CA certificate")]
    BadCa(usize),
    /// Not made for client authentication.
    #[error("the certificate's extended key usage is not clientAuth")]
    WrongUsage,
    /// Not a P-256 key.
    #[error("the certificate's key is not ECDSA P-256")]
    WrongKey,
    /// Its validity has not begun.
    #[error("the certificate is not valid yet")]
    NotYetValid,
    /// Its validity is over.
    #[error("the certificate has expired")]
    Expired,
    /// A newer generation of the user's keys is in force (told by whoever knows the account).
    #[error("the certificate's generation was revoked")]
    Revoked,
    /// Validity and key period contradict each other.
    #[error("the certificate's validity is not within its key period {0} plus 60 days")]
    Period(Period),
    /// A test client offered to the CAs of a real account, or the reverse.
    #[error("a test client's certificate is only good for the health check, and no other is")]
    TestClient,
    /// Another fault in the chain.
    #[error("the certificate chain is not acceptable: {0}")]
    Chain(String),
}

/// Account and user as claimed by an end-entity certificate, before any check.
pub fn claimed(end_entity: &CertificateDer<'_>) -> Result<Claimed, IdentityError> {
    let certificate = parse(end_entity)?;
    verify::claimed_in(&certificate)
}

/// The account claimed by an end-entity certificate, before any check.
pub fn claimed_account(end_entity: &CertificateDer<'_>) -> Result<AccountId, IdentityError> {
    claimed(end_entity).map(|claimed| claimed.account)
}

/// Everything a certificate claims about its user: nothing has been verified.
pub fn unverified(end_entity: &CertificateDer<'_>) -> Result<UserIdentity, IdentityError> {
    verify::identity_in(&parse(end_entity)?)
}

#[cfg(test)]
mod tests;
