//! Encapsulation certificates: a user's X-Wing public key of a period, signed by the account's CA.
//!
//! X.509 has no settled form for X-Wing keys, so this is COSE_Sign1 (ES256, external associated
//! data `crs-kem-cert-v1`) over deterministic CBOR.

use crs_types::{Generation, Timestamp};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use crate::account_ca::AccountCa;
use crate::cbor::{self, Bytes, CborError};
use crate::cose::{self, CoseError};
use crate::identity::UserIdentity;
use crate::kem::{KemError, KeyId, PublicKey};

const PURPOSE: &str = "crs-kem-cert-v1";
const VERSION: u64 = 1;

/// A verified encapsulation certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KemCertificate {
    /// Whose key it is, and of which period and generation.
    pub identity: UserIdentity,
    /// The key.
    pub key: PublicKey,
    /// The key's id.
    pub key_id: KeyId,
}

/// Why an encapsulation certificate was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KemCertError {
    /// The container.
    #[error("encapsulation certificate: {0}")]
    Cose(#[from] CoseError),
    /// The content.
    #[error("encapsulation certificate: {0}")]
    Cbor(#[from] CborError),
    /// The key.
    #[error("encapsulation certificate: {0}")]
    Key(#[from] KemError),
    /// The key id is not that of the key.
    #[error("encapsulation certificate: the key id does not belong to the key")]
    KeyId,
    /// Its month has not begun, or ended more than 60 days ago.
    #[error("encapsulation certificate: period {period} is not usable at {now}")]
    Period {
        /// The certificate's month.
        period: crs_types::Period,
        /// The time it was checked at.
        now: Timestamp,
    },
}

/// CBOR of the payload; field order is the deterministic one.
#[derive(Serialize, Deserialize)]
struct Payload {
    v: u64,
    key: Bytes,
    kid: Bytes,
    uri: crs_types::Uri,
    period: crs_types::Period,
    account: crs_types::AccountId,
    generation: u32,
}

/// Issues a certificate for a user's public key.
pub fn issue(ca: &AccountCa, identity: &UserIdentity, key: &PublicKey) -> Vec<u8> {
    let payload = Payload {
        v: VERSION,
        key: key.to_bytes().into(),
        kid: key.id().0.to_vec().into(),
        uri: identity.uri.clone(),
        period: identity.period,
        account: identity.account.clone(),
        generation: identity.generation.0,
    };
    cose::sign(ca.key(), PURPOSE, cbor::encode(&payload))
}

/// Verifies a certificate against the CAs of the account that the user is expected in.
///
/// The caller compares `identity` with the user it asked for. Usable from the start of the month
/// to 60 days after its end; senders pick the newest period that stands
/// [`crs_types::period::Standing::Valid`].
pub fn verify(
    bytes: &[u8],
    cas: &[CertificateDer<'_>],
    now: Timestamp,
) -> Result<KemCertificate, KemCertError> {
    let certificate = decode(&cose::verify(bytes, PURPOSE, cas)?)?;
    let period = certificate.identity.period;
    let usable = period.start() <= now && now < period.end().plus(crs_types::period::UPDATE_ONLY);
    if usable { Ok(certificate) } else { Err(KemCertError::Period { period, now }) }
}

/// What a certificate claims, without any check of signature or time.
pub fn claimed(bytes: &[u8]) -> Result<KemCertificate, KemCertError> {
    decode(&cose::unverified_payload(bytes)?)
}

fn decode(payload: &[u8]) -> Result<KemCertificate, KemCertError> {
    let payload: Payload =
        cbor::decode_versioned("an encapsulation certificate", VERSION, payload)?;
    let key = PublicKey::from_bytes(payload.key.as_slice())?;
    let key_id = KeyId::of(payload.key.as_slice());
    if payload.kid.as_slice() != key_id.0 {
        return Err(KemCertError::KeyId);
    }
    let identity = UserIdentity {
        account: payload.account,
        uri: payload.uri,
        period: payload.period,
        generation: Generation(payload.generation),
    };
    Ok(KemCertificate { identity, key, key_id })
}
