//! Which of an account's CAs has issued a certificate: a CA may be retired while connections live
//! that were let in by it.

use rustls_pki_types::CertificateDer;

use super::IdentityError;
use super::verify::{is_signed_by, parse, subject_public_key};
use crate::derive;

/// A CA by its public key, for it is the key that may fall into wrong hands: two CA certificates
/// of one key are one issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssuerId([u8; 16]);

impl IssuerId {
    /// Of a CA certificate.
    pub fn of(ca: &CertificateDer<'_>) -> Result<Self, IdentityError> {
        let key = subject_public_key(ca)?;
        let mut id = [0; 16];
        id.copy_from_slice(&derive::sha256(&key)[..16]);
        Ok(Self(id))
    }
}

/// The one of `cas` whose key made the certificate's signature. What the certificate says of its
/// issuer is not asked: whoever has stolen a CA's key writes there what he likes.
pub fn issuer(end_entity: &CertificateDer<'_>, cas: &[CertificateDer<'_>]) -> Option<IssuerId> {
    let certificate = parse(end_entity).ok()?;
    let ca = cas.iter().find(|ca| is_signed_by(&certificate, ca))?;
    IssuerId::of(ca).ok()
}
