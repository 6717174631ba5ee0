//! Monthly key packages: a user's private keys of a period, sealed to its enrolment key.
//!
//! The update file holds per user only the sealed private keys and both certificates, and the
//! trust list once for all; `upd.get` returns them put together as a [`Delivery`]. HPKE base mode
//! does not say who sealed: what makes a package authentic is that the keys match certificates
//! which chain to CAs the user already trusts.

use crs_types::{AccountId, Generation, Period, Rng, Timestamp, Uri};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::account_ca::{AccountCa, IssueError, Validity};
use crate::cbor::{self, Bytes, CborError};
use crate::identity::{self, IdentityError, UserIdentity};
use crate::kem::{self, KemError};
use crate::kem_cert::{self, KemCertError};
use crate::p256::{KeyError, SigningKey};
use crate::trust::{Trust, TrustError};
use crate::update::UpdateUser;

const LABEL: &str = "crs-pkg-v1";
const VERSION: u64 = 1;

/// A user's keys of one period: what a client works with.
#[derive(Debug, Clone)]
pub struct UserKeys {
    /// User, period and generation.
    pub identity: UserIdentity,
    /// Signs TLS handshakes, messages and calls.
    pub sign_key: SigningKey,
    /// The certificate of `sign_key` (X.509 DER).
    pub sign_cert: CertificateDer<'static>,
    /// Opens messages.
    pub kem_key: kem::PrivateKey,
    /// The certificate of `kem_key` ([`crate::kem_cert`]).
    pub kem_cert: Vec<u8>,
}

/// What `upd.get` returns: everything a user needs for a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Version: 1.
    pub v: u64,
    /// Trust list ([`Trust::accept`]).
    pub trust: Bytes,
    /// Private keys, sealed to the enrolment key.
    pub sealed: Bytes,
    /// Encapsulation certificate.
    pub kem_cert: Bytes,
    /// Signing certificate (X.509 DER).
    pub sign_cert: Bytes,
}

/// A delivery once opened and verified.
#[derive(Debug, Clone)]
pub struct OpenedPackage {
    /// The keys.
    pub keys: UserKeys,
    /// The trust list that came with them.
    pub trust: Trust,
}

/// Why a package was refused.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// Malformed, or of an unknown version.
    #[error("key package: {0}")]
    Cbor(#[from] CborError),
    /// It cannot be decrypted.
    #[error("key package: {0}")]
    Kem(#[from] KemError),
    /// The trust list.
    #[error("key package: {0}")]
    Trust(#[from] TrustError),
    /// The signing certificate.
    #[error("key package: {0}")]
    Certificate(#[from] IdentityError),
    /// The encapsulation certificate.
    #[error("key package: {0}")]
    KemCertificate(#[from] KemCertError),
    /// A private key.
    #[error("key package: {0}")]
    Key(#[from] KeyError),
    /// Certificates of another user, or of two periods.
    #[error("key package: expected keys of {expected}, got keys of {found}")]
    WrongUser {
        /// Whose package it should be.
        expected: String,
        /// Whose it is.
        found: String,
    },
    /// Private keys that do not belong to the certificates.
    #[error("key package: the private keys do not belong to the certificates")]
    KeyMismatch,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    v: u64,
    kem_key: Bytes,
    sign_key: Bytes,
}

impl Drop for Sealed {
    fn drop(&mut self) {
        self.kem_key.0.zeroize();
        self.sign_key.0.zeroize();
    }
}

impl UserKeys {
    /// Makes keys and certificates for a user (the CMS's work).
    pub fn issue(
        ca: &AccountCa,
        identity: UserIdentity,
        validity: Validity,
        rng: &mut dyn Rng,
    ) -> Result<Self, IssueError> {
        let sign_key = SigningKey::generate(rng);
        let kem_key = kem::PrivateKey::generate(rng);
        Self::certify(ca, identity, validity, sign_key, kem_key, rng)
    }

    /// Makes certificates for keys that exist.
    pub fn certify(
        ca: &AccountCa,
        identity: UserIdentity,
        validity: Validity,
        sign_key: SigningKey,
        kem_key: kem::PrivateKey,
        rng: &mut dyn Rng,
    ) -> Result<Self, IssueError> {
        let sign_cert = ca.issue_user(&identity, &sign_key, validity, rng)?;
        let public = kem_key.public_key().expect("a seed of 32 bytes has a public key");
        let kem_cert = kem_cert::issue(ca, &identity, &public);
        Ok(Self { identity, sign_key, sign_cert, kem_key, kem_cert })
    }

    /// Seals the private keys to the user's enrolment key.
    pub fn seal(&self, enrolment: &kem::PublicKey, rng: &mut dyn Rng) -> Result<Vec<u8>, KemError> {
        let content = Sealed {
            v: VERSION,
            kem_key: self.kem_key.seed().expose().into(),
            sign_key: self.sign_key.scalar().expose().into(),
        };
        let plain = Zeroizing::new(cbor::encode(&content));
        let (mut out, mut sender) = kem::setup_sender(enrolment, LABEL.as_bytes(), rng)?;
        out.extend(sender.seal(&plain, &associated_data(&self.identity))?);
        Ok(out)
    }
}

impl Delivery {
    /// Puts a user's part of an update file together.
    pub fn new(trust: &Bytes, user: &UpdateUser) -> Self {
        Self {
            v: VERSION,
            trust: trust.clone(),
            sealed: user.sealed.clone(),
            kem_cert: user.kem_cert.clone(),
            sign_cert: user.sign_cert.clone(),
        }
    }

    /// The bytes that travel.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }
}

/// Opens what `upd.get` returned and verifies all of it: trust list by the list in use, both
/// certificates by the trust list, user and period, private keys against certificates.
///
/// Keys of next month are accepted ahead of time. Months are fetched in any order: with a trust
/// list older than the one in use the package is still good, but the list in use stays.
pub fn open(
    delivery: &[u8],
    enrolment: &kem::PrivateKey,
    trust: &Trust,
    uri: &Uri,
    now: Timestamp,
) -> Result<OpenedPackage, PackageError> {
    let delivery: Delivery = cbor::decode_versioned("a key package", VERSION, delivery)?;
    let trust = newest_trust(trust, delivery.trust.as_slice())?;
    let sign_cert = CertificateDer::from(delivery.sign_cert.0);
    let identity = verify_identity(&sign_cert, &trust, uri, now)?;
    let sealed = open_sealed(delivery.sealed.as_slice(), enrolment, &identity)?;
    let sign_key = SigningKey::from_scalar(sealed.sign_key.as_slice())?;
    let kem_key = kem::PrivateKey::from_seed(sealed.kem_key.as_slice())?;
    let at = now.max(identity.period.start());
    let certified = kem_cert::verify(delivery.kem_cert.as_slice(), &trust.cas, at)?;
    if certified.identity != identity {
        return Err(wrong_user(&identity, &certified.identity));
    }
    if identity::subject_public_key(&sign_cert)? != sign_key.public_key()
        || kem_key.public_key()? != certified.key
    {
        return Err(PackageError::KeyMismatch);
    }
    let kem_cert = delivery.kem_cert.0;
    Ok(OpenedPackage { keys: UserKeys { identity, sign_key, sign_cert, kem_key, kem_cert }, trust })
}

fn newest_trust(current: &Trust, offered: &[u8]) -> Result<Trust, TrustError> {
    match current.accept(offered) {
        Err(TrustError::Older { .. }) => Ok(current.clone()),
        accepted @ (Ok(_) | Err(_)) => accepted,
    }
}

fn verify_identity(
    sign_cert: &CertificateDer<'_>,
    trust: &Trust,
    uri: &Uri,
    now: Timestamp,
) -> Result<UserIdentity, PackageError> {
    let claimed = identity::unverified(sign_cert)?;
    let at = now.max(claimed.period.start());
    let identity = identity::verify_client(sign_cert, &trust.cas, at)?;
    if identity.account != trust.account || identity.uri != *uri {
        let expected =
            UserIdentity { account: trust.account.clone(), uri: uri.clone(), ..identity.clone() };
        return Err(wrong_user(&expected, &identity));
    }
    Ok(identity)
}

fn open_sealed(
    sealed: &[u8],
    enrolment: &kem::PrivateKey,
    identity: &UserIdentity,
) -> Result<Sealed, PackageError> {
    let (encapsulation, ciphertext) =
        sealed.split_at_checked(kem::ENCAPSULATION_LEN).ok_or(KemError::Encapsulation)?;
    let plain = kem::setup_receiver(enrolment, encapsulation, LABEL.as_bytes())?
        .open(ciphertext, &associated_data(identity))?;
    Ok(cbor::decode_versioned("a sealed key package", VERSION, &plain)?)
}

fn associated_data(identity: &UserIdentity) -> Vec<u8> {
    let UserIdentity { account, uri, period, generation } = identity;
    cbor::encode(&(LABEL, account.folded(), uri.as_str(), period.to_string(), generation.0))
}

fn wrong_user(expected: &UserIdentity, found: &UserIdentity) -> PackageError {
    let text = |identity: &UserIdentity| {
        let UserIdentity { account, uri, period, generation: Generation(generation) } = identity;
        format!("{uri} of {account}, {period}, generation {generation}")
    };
    PackageError::WrongUser { expected: text(expected), found: text(found) }
}

/// Account and period of a delivery, as its signing certificate claims them, before any check.
pub fn claimed(delivery: &[u8]) -> Result<(AccountId, Period), PackageError> {
    let delivery: Delivery = cbor::decode_versioned("a key package", VERSION, delivery)?;
    let identity = identity::unverified(&CertificateDer::from(delivery.sign_cert.0))?;
    Ok((identity.account, identity.period))
}
