//! An account's certificate authority: made and used by the CMS (and, for test clients, by the
//! health check). Issues signing certificates by the profile of [`crate::identity`].

use std::time::Duration;

use crs_types::{AccountId, Period, Rng, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;

use crate::identity::{UserIdentity, profile};
use crate::p256::SigningKey;

/// How long a CA certificate is valid. CAs are replaced by adding a new one, not by expiry.
pub const CA_VALIDITY: Duration = Duration::from_secs(20 * 365 * 86_400);

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the certificate could not be made: {0}")]
pub struct IssueError(#[from] rcgen::Error);

/// A CA key with its certificate.
#[derive(Clone)]
pub struct AccountCa {
    account: AccountId,
    key: SigningKey,
    certificate: CertificateDer<'static>,
}

/// From when to when a certificate is valid; both ends included, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First second.
    pub from: Timestamp,
    /// Last second.
    pub to: Timestamp,
}

impl Validity {
    /// A user's certificate of a period: the month plus 60 days.
    pub fn of_period(period: Period) -> Self {
        Self { from: period.start(), to: period.end().plus(crs_types::period::UPDATE_ONLY) }
    }
}

impl AccountCa {
    /// A new CA for an account, valid from `now`.
    pub fn generate(
        account: AccountId,
        rng: &mut dyn Rng,
        now: Timestamp,
    ) -> Result<Self, IssueError> {
        Self::with_key(account, SigningKey::generate(rng), rng, now)
    }

    /// A CA certificate for a key that exists.
    pub fn with_key(
        account: AccountId,
        key: SigningKey,
        rng: &mut dyn Rng,
        now: Timestamp,
    ) -> Result<Self, IssueError> {
        let validity = Validity { from: now, to: now.plus(CA_VALIDITY) };
        let params = ca_params(&account.to_string(), validity, serial(rng));
        let certificate = params.self_signed(&key)?;
        Ok(Self { account, key, certificate: certificate.der().clone() })
    }

    /// A CA as it was stored.
    pub fn from_parts(
        account: AccountId,
        key: SigningKey,
        certificate: CertificateDer<'static>,
    ) -> Self {
        Self { account, key, certificate }
    }

    /// The account.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// The CA certificate in DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The CA key. It signs certificates and, by COSE, key encapsulation certificates and trust
    /// lists; an X.509 body begins with 0x30, a COSE signing input with 0x84, so that neither
    /// signature can pass for the other.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Issues a user's signing certificate for a public key.
    pub fn issue_user(
        &self,
        identity: &UserIdentity,
        key: &SigningKey,
        validity: Validity,
        rng: &mut dyn Rng,
    ) -> Result<CertificateDer<'static>, IssueError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = name(&identity.uri.to_string());
        set_validity(&mut params, validity);
        params.serial_number = Some(serial(rng));
        let san = profile::san_of(&identity.account, &identity.uri);
        params.subject_alt_names = vec![SanType::URI(san.try_into()?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.custom_extensions = vec![CustomExtension::from_oid_content(
            &profile::KEY_PERIOD_OID,
            profile::encode_key_period(identity.period, identity.generation),
        )];
        params.use_authority_key_identifier_extension = true;
        let issuer = rcgen::Issuer::from_ca_cert_der(&self.certificate, &self.key)?;
        Ok(params.signed_by(key, &issuer)?.der().clone())
    }
}

impl std::fmt::Debug for AccountCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AccountCa({})", self.account)
    }
}

/// Parameters of a self-signed CA certificate that issues end-entity certificates only.
pub(crate) fn ca_params(
    common_name: &str,
    validity: Validity,
    serial_number: SerialNumber,
) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(common_name);
    set_validity(&mut params, validity);
    params.serial_number = Some(serial_number);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.key_identifier_method = KeyIdMethod::Sha256;
    params
}

/// A positive 127-bit serial number.
pub(crate) fn serial(rng: &mut dyn Rng) -> SerialNumber {
    let mut bytes = [0; 16];
    rng.fill(&mut bytes);
    bytes[0] = bytes[0] & 0x7f | 0x01;
    SerialNumber::from_slice(&bytes)
}

pub(crate) fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

pub(crate) fn set_validity(params: &mut CertificateParams, validity: Validity) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(validity.from.as_secs());
    params.not_after = epoch + Duration::from_secs(validity.to.as_secs());
}
