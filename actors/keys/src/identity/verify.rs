//! Verification of certificates and chains.

use crs_types::{Period, Timestamp};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY};
use x509_parser::prelude::FromDer;

use super::{Claimed, IdentityError, UserIdentity, profile};

/// Checks a client's chain against the CAs of the account it claims, and only those.
///
/// `cas` are the DER CA certificates of [`super::claimed_account`]; handing in another account's
/// lets that account speak for this one. `now` is compared with the X.509 validity (which ends 60
/// days after the month); ask [`Period::standing`] what the identity may still do. Test clients
/// are refused here: see [`crate::test_ca`].
pub fn verify_client_chain(
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    cas: &[CertificateDer<'_>],
    now: Timestamp,
) -> Result<UserIdentity, IdentityError> {
    let identity = verify_chain(end_entity, intermediates, cas, now)?;
    if identity.uri.is_test_client() {
        return Err(IdentityError::TestClient);
    }
    Ok(identity)
}

/// The chain check without the rule about test clients.
pub(crate) fn verify_chain(
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    cas: &[CertificateDer<'_>],
    now: Timestamp,
) -> Result<UserIdentity, IdentityError> {
    let certificate = parse(end_entity)?;
    let identity = identity_in(&certificate)?;
    let account = &identity.account;
    p256_key(&certificate).ok_or(IdentityError::WrongKey)?;
    within_period(&certificate, identity.period)?;
    if cas.is_empty() {
        return Err(IdentityError::NoCa { account: account.clone() });
    }
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
            intermediates,
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.as_secs())),
            KeyUsage::required(EKU_CLIENT_AUTH),
            None,
            None,
        )
        .map_err(|error| refusal(error, account))?;
    Ok(identity)
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

pub(super) fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, IdentityError> {
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
