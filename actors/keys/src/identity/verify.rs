//! Verification of certificates and chains.

use crs_types::{Period, Timestamp};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY};
use x509_parser::prelude::FromDer;

use super::{Claimed, IdentityError, UserIdentity, profile};
use crate::p256;

/// Checks a client's certificate against the CAs of the account it claims, and only those. A
/// CA of the account has signed it directly: certificates in between are not part of the profile,
/// and looking for a path through what a stranger sends can cost a minute of processor time.
///
/// What is wrong with a certificate is told only when the account did issue it; anything else is
/// `NotIssuedByAccount`, so that strangers do not learn which accounts there are.
///
/// `cas` are the DER CA certificates of [`super::claimed_account`]; handing in another account's
/// lets that account speak for this one. `now` is compared with the X.509 validity (which ends 60
/// days after the month); ask [`Period::standing`] what the identity may still do. Test clients
/// are refused here: see [`crate::test_ca`].
pub fn verify_client(
    end_entity: &CertificateDer<'_>,
    cas: &[CertificateDer<'_>],
    now: Timestamp,
) -> Result<UserIdentity, IdentityError> {
    let identity = verify_certificate(end_entity, cas, now)?;
    if identity.uri.is_test_client() {
        return Err(IdentityError::TestClient);
    }
    Ok(identity)
}

/// The same without the rule about test clients.
pub(crate) fn verify_certificate(
    end_entity: &CertificateDer<'_>,
    cas: &[CertificateDer<'_>],
    now: Timestamp,
) -> Result<UserIdentity, IdentityError> {
    let certificate = parse(end_entity)?;
    let account = claimed_in(&certificate)?.account;
    if cas.is_empty() {
        return Err(IdentityError::NoCa { account });
    }
    judge(end_entity, &certificate, cas, now).map_err(|error| {
        let issued = cas.iter().any(|ca| is_signed_by(&certificate, ca));
        if issued { error } else { IdentityError::NotIssuedByAccount { account } }
    })
}

/// Costs what it costs to refuse a certificate that no CA of its account has issued: for accounts
/// that are not there, so that time does not tell them from others.
pub fn refuse(end_entity: &CertificateDer<'_>) {
    if let Ok(certificate) = parse(end_entity) {
        std::hint::black_box(is_signed_with(&certificate, &BASE_POINT));
    }
}

fn judge(
    end_entity: &CertificateDer<'_>,
    certificate: &X509Certificate<'_>,
    cas: &[CertificateDer<'_>],
    now: Timestamp,
) -> Result<UserIdentity, IdentityError> {
    let identity = identity_in(certificate)?;
    p256_key(certificate).ok_or(IdentityError::WrongKey)?;
    within_period(certificate, identity.period)?;
    let anchors = cas
        .iter()
        .enumerate()
        .map(|(index, ca)| anchor_from_trusted_cert(ca).map_err(|_| IdentityError::BadCa(index)))
        .collect::<Result<Vec<_>, _>>()?;
    EndEntityCert::try_from(end_entity)
        .map_err(|_| IdentityError::Malformed)?
        .verify_for_usage(
            &[webpki::aws_lc_rs::ECDSA_P256_SHA256],
            &anchors,
            &[],
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.as_secs())),
            KeyUsage::required(EKU_CLIENT_AUTH),
            None,
            None,
        )
        .map_err(|error| refusal(error, &identity.account))?;
    Ok(identity)
}

/// Whether the key of `ca` made the certificate's signature; looks at nothing else.
pub(super) fn is_signed_by(certificate: &X509Certificate<'_>, ca: &CertificateDer<'_>) -> bool {
    let Ok(ca) = parse(ca) else { return false };
    p256_key(&ca).is_some_and(|key| is_signed_with(certificate, key))
}

fn is_signed_with(certificate: &X509Certificate<'_>, key: &[u8]) -> bool {
    let signed = certificate.tbs_certificate.as_ref();
    p256::verify_der(key, signed, &certificate.signature_value.data).is_ok()
}

/// Checks that a certificate can serve as an account's CA: a CA certificate with a P-256 key.
pub fn verify_ca(ca: &CertificateDer<'_>) -> Result<(), IdentityError> {
    let certificate = parse(ca)?;
    p256_key(&certificate).ok_or(IdentityError::WrongKey)?;
    match certificate.basic_constraints() {
        Ok(Some(constraints)) if constraints.value.ca => Ok(()),
        Ok(Some(_) | None) | Err(_) => Err(IdentityError::BadCa(0)),
    }
}

/// The P-256 public key of a certificate as an uncompressed SEC 1 point. Verifies nothing else.
pub fn subject_public_key(certificate: &CertificateDer<'_>) -> Result<Vec<u8>, IdentityError> {
    let certificate = parse(certificate)?;
    p256_key(&certificate).map(<[u8]>::to_vec).ok_or(IdentityError::WrongKey)
}

pub(crate) fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, IdentityError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) | Err(_) => Err(IdentityError::Malformed),
    }
}

pub(super) fn claimed_in(certificate: &X509Certificate<'_>) -> Result<Claimed, IdentityError> {
    let names = match certificate.subject_alternative_name() {
        Ok(Some(extension)) => &extension.value.general_names,
        Ok(None) => return Err(IdentityError::NoSan),
        Err(_) => return Err(IdentityError::Malformed),
    };
    match names.as_slice() {
        [] => Err(IdentityError::NoSan),
        [GeneralName::URI(text)] => profile::parse_san(text),
        [_] => Err(IdentityError::San("the name is not a URI".into())),
        many => Err(IdentityError::ManySans(many.len())),
    }
}

pub(super) fn identity_in(
    certificate: &X509Certificate<'_>,
) -> Result<UserIdentity, IdentityError> {
    let Claimed { account, uri } = claimed_in(certificate)?;
    let (period, generation) = key_period(certificate)?;
    Ok(UserIdentity { account, uri, period, generation })
}

fn key_period(
    certificate: &X509Certificate<'_>,
) -> Result<(Period, crs_types::Generation), IdentityError> {
    let mut found = None;
    for extension in certificate.extensions() {
        let ours =
            matches!(extension.parsed_extension(), ParsedExtension::UnsupportedExtension { .. })
                && extension.oid.iter().is_some_and(|arcs| arcs.eq(profile::KEY_PERIOD_OID));
        if ours && found.replace(extension.value).is_some() {
            return Err(IdentityError::KeyPeriod);
        }
    }
    found.and_then(profile::parse_key_period).ok_or(IdentityError::KeyPeriod)
}

/// A certificate may be valid for less than its period allows, never for more.
fn within_period(certificate: &X509Certificate<'_>, period: Period) -> Result<(), IdentityError> {
    let validity = certificate.validity();
    let seconds = |time: i64| u64::try_from(time).map(Timestamp::from_secs).ok();
    let from = seconds(validity.not_before.timestamp());
    let to = seconds(validity.not_after.timestamp());
    let limit = period.end().plus(crs_types::period::UPDATE_ONLY);
    match (from, to) {
        (Some(from), Some(to)) if from >= period.start() && from <= to && to <= limit => Ok(()),
        (Some(_), Some(_)) | (None, _) | (_, None) => Err(IdentityError::Period(period)),
    }
}

fn p256_key<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    let spki = certificate.public_key();
    let curve = spki.algorithm.parameters.as_ref()?.as_oid().ok()?;
    let is_p256 = spki.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY && curve == OID_EC_P256;
    let point = spki.subject_public_key.data.as_ref();
    (is_p256 && point.len() == 65 && point[0] == 4).then_some(point)
}

fn refusal(error: webpki::Error, account: &crs_types::AccountId) -> IdentityError {
    #[allow(clippy::wildcard_enum_match_arm, reason = "a foreign, non-exhaustive enum")]
    match error {
        webpki::Error::CertExpired { .. } => IdentityError::Expired,
        webpki::Error::CertNotValidYet { .. } => IdentityError::NotYetValid,
        webpki::Error::RequiredEkuNotFoundContext(_) | webpki::Error::EmptyEkuExtension => {
            IdentityError::WrongUsage
        }
        webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
            IdentityError::NotIssuedByAccount { account: account.clone() }
        }
        other => IdentityError::Chain(format!("{other:?}").chars().take(120).collect()),
    }
}

/// id-kp-clientAuth (RFC 5280 §4.2.1.12), as DER content bytes.
const EKU_CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];

/// The base point of P-256 (FIPS 186-5, SP 800-186 §3.2.1.3), uncompressed: a key that is nobody's.
const BASE_POINT: [u8; 65] = [
    0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40,
    0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2,
    0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e,
    0x16, 0x2b, 0xce, 0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51,
    0xf5,
];
