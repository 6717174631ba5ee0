//! COSE_Sign1 (RFC 9052 §4.2) with ES256 by an account's CA: key encapsulation certificates and
//! trust lists.

use coset::{CborSerializable, CoseSign1, CoseSign1Builder, HeaderBuilder, iana};
use rustls_pki_types::CertificateDer;

use crate::identity;
use crate::p256::{self, SigningKey};

/// Why a signed object was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoseError {
    /// Not a COSE object of the expected kind.
    #[error("malformed COSE object: expected {0}")]
    Malformed(&'static str),
    /// Another algorithm than the profile's.
    #[error("COSE algorithm is not {0}")]
    Algorithm(&'static str),
    /// Not signed by any of the CAs.
    #[error("not signed by any of the {0} given CAs")]
    Signature(usize),
}

/// Signs `payload`; `purpose` is the external associated data that separates kinds of objects.
pub(crate) fn sign(key: &SigningKey, purpose: &str, payload: Vec<u8>) -> Vec<u8> {
    let protected = HeaderBuilder::new().algorithm(iana::Algorithm::ES256).build();
    CoseSign1Builder::new()
        .protected(protected)
        .payload(payload)
        .create_signature(purpose.as_bytes(), |input| {
            key.sign(input).expect("a key that was parsed can sign")
        })
        .build()
        .to_vec()
        .expect("headers made here can be encoded")
}

/// The payload, once one of the CA certificates has verified it.
pub(crate) fn verify(
    bytes: &[u8],
    purpose: &str,
    cas: &[CertificateDer<'_>],
) -> Result<Vec<u8>, CoseError> {
    let object = parse(bytes)?;
    let input = object.tbs_data(purpose.as_bytes());
    let signed = cas.iter().any(|ca| {
        identity::subject_public_key(ca)
            .is_ok_and(|key| p256::verify(&key, &input, &object.signature).is_ok())
    });
    if !signed {
        return Err(CoseError::Signature(cas.len()));
    }
    object.payload.ok_or(CoseError::Malformed("a payload"))
}

/// The payload without any check of the signature.
pub(crate) fn unverified_payload(bytes: &[u8]) -> Result<Vec<u8>, CoseError> {
    parse(bytes)?.payload.ok_or(CoseError::Malformed("a payload"))
}

fn parse(bytes: &[u8]) -> Result<CoseSign1, CoseError> {
    let object = CoseSign1::from_slice(bytes).map_err(|_| CoseError::Malformed("COSE_Sign1"))?;
    let algorithm = coset::Algorithm::Assigned(iana::Algorithm::ES256);
    if object.protected.header.alg != Some(algorithm) {
        return Err(CoseError::Algorithm("ES256"));
    }
    if object.payload.is_none() {
        return Err(CoseError::Malformed("a payload"));
    }
    Ok(object)
}
