//! Enrolment bundles: what a new user gets, as a file or a QR code, protected by a PIN.
//!
//! One compact form serves both: it holds the keys to attach with at once, so that the rest (the
//! encapsulation key, the trust list) comes by `upd.get`. A QR code holds it as base45 text
//! (RFC 9285) behind `CRS1:`, because scanners treat binary QR codes badly.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use crs_types::{AccountId, Rng, Timestamp, Uri};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::cbor::{self, Bytes, CborError};
use crate::identity::{self, IdentityError, UserIdentity};
use crate::kem;
use crate::p256::SigningKey;
use crate::trust::{self, Trust};

mod base45;

/// Largest bundle in bytes.
pub const BUNDLE_MAX: usize = 64 * 1024;
/// Shortest PIN in characters, spaces and dashes not counted.
pub const PIN_MIN: usize = 6;
/// Digits of a generated PIN: 40 bits, each guess costing [`KdfCost::DEFAULT`].
pub const PIN_GENERATED_DIGITS: usize = 12;
/// Most server addresses.
pub const ADDRESSES_MAX: usize = 16;
/// Prefix of the text form.
pub const TEXT_PREFIX: &str = "CRS1:";

const VERSION: u64 = 1;
const KDF: &str = "argon2id";

/// What a new user needs to attach for the first time.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The user.
    pub uri: Uri,
    /// CAs of the own account, which also says which account that is.
    pub trust: Trust,
    /// Server addresses as `host:port`, in order of preference.
    pub addresses: Vec<String>,
    /// How to recognise the server.
    pub server: ServerTrust,
    /// Opens the monthly packages; never changes while the user is enrolled.
    pub enrolment_key: kem::PrivateKey,
    /// Signing key of the month the bundle was made in.
    pub sign_key: SigningKey,
    /// Its certificate (X.509 DER).
    pub sign_cert: CertificateDer<'static>,
}

/// How to recognise the server in the TLS handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerTrust {
    /// Trust this pool CA (X.509 DER) for the addresses' names.
    PoolCa(Bytes),
    /// Trust the public PKI, for this DNS name.
    PublicName(String),
}

/// Cost of turning the PIN into a key (RFC 9106, Argon2id).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KdfCost {
    /// Memory in KiB; 8 to 262 144 are accepted.
    pub memory_kib: u32,
    /// Passes; 1 to 16 are accepted.
    pub passes: u32,
    /// Lanes; 1 to 4 are accepted.
    pub lanes: u32,
}

/// Why a bundle was refused.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Beyond [`BUNDLE_MAX`].
    #[error("the bundle has {0} bytes, at most {BUNDLE_MAX} are accepted")]
    TooLarge(usize),
    /// Not the text of an enrolment QR code.
    #[error("not the text of an enrolment code: expected {TEXT_PREFIX} and base45")]
    Text,
    /// Malformed, or of an unknown version.
    #[error("this is not an enrolment bundle, or one of a newer version: {0}")]
    Cbor(#[from] CborError),
    /// A PIN that could be guessed at once.
    #[error("a PIN needs at least {PIN_MIN} characters; leave it out to have one generated")]
    PinTooShort,
    /// Costs that this program does not accept.
    #[error("the bundle asks for a key derivation of unacceptable cost: {0}")]
    Kdf(String),
    /// Wrong PIN or changed bytes.
    #[error("wrong PIN, or the bundle was changed")]
    WrongPin,
    /// The content contradicts itself.
    #[error("its content: {0}")]
    Content(String),
    /// The certificate is not acceptable.
    #[error("its certificate: {0}")]
    Certificate(#[from] IdentityError),
}

#[derive(Serialize, Deserialize)]
struct Outer {
    v: u64,
    kdf: String,
    salt: Bytes,
    lanes: u32,
    nonce: Bytes,
    memory: u32,
    passes: u32,
    sealed: Bytes,
}

#[derive(Serialize, Deserialize)]
struct Inner {
    v: u64,
    cas: Vec<Bytes>,
    uri: Uri,
    server: ServerTrust,
    account: AccountId,
    sign_key: Bytes,
    addresses: Vec<String>,
    enrolment: Bytes,
    sign_cert: Bytes,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.sign_key.0.zeroize();
        self.enrolment.0.zeroize();
    }
}

impl KdfCost {
    /// 64 MiB, 3 passes, 1 lane: RFC 9106 §4, second recommendation, for one core of a phone.
    pub const DEFAULT: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 };
    /// The least that is accepted; for tests.
    pub const LEAST: Self = Self { memory_kib: 8, passes: 1, lanes: 1 };

    fn check(self) -> Result<Params, BundleError> {
        let Self { memory_kib, passes, lanes } = self;
        let ok = (8..=262_144).contains(&memory_kib)
            && (1..=16).contains(&passes)
            && (1..=4).contains(&lanes)
            && memory_kib >= 8 * lanes;
        let text = || format!("{memory_kib} KiB, {passes} passes, {lanes} lanes");
        if !ok {
            return Err(BundleError::Kdf(text()));
        }
        Params::new(memory_kib, passes, lanes, Some(32)).map_err(|_| BundleError::Kdf(text()))
    }
}

impl Bundle {
    /// Protects the bundle by a PIN.
    pub fn seal(
        &self,
        pin: &str,
        cost: KdfCost,
        rng: &mut dyn Rng,
    ) -> Result<Vec<u8>, BundleError> {
        let mut salt = [0; 16];
        rng.fill(&mut salt);
        let mut nonce = [0; 12];
        rng.fill(&mut nonce);
        let mut outer = Outer {
            v: VERSION,
            kdf: KDF.into(),
            salt: salt.to_vec().into(),
            lanes: cost.lanes,
            nonce: nonce.to_vec().into(),
            memory: cost.memory_kib,
            passes: cost.passes,
            sealed: Bytes::default(),
        };
        let key = key_from_pin(pin, &outer)?;
        let mut buffer = Zeroizing::new(cbor::encode(&self.to_inner()));
        let aad = cbor::encode(&outer);
        let tag = key
            .seal_in_place_separate_tag(Nonce::from(&nonce), Aad::from(aad), &mut buffer)
            .map_err(|_| BundleError::Content("encryption failed".into()))?;
        outer.sealed = Bytes([buffer.as_slice(), tag.as_ref()].concat());
        Ok(cbor::encode(&outer))
    }

    /// Opens a bundle and checks that its parts belong together.
    pub fn open(bytes: &[u8], pin: &str, now: Timestamp) -> Result<Self, BundleError> {
        if bytes.len() > BUNDLE_MAX {
            return Err(BundleError::TooLarge(bytes.len()));
        }
        let mut outer: Outer = cbor::decode_versioned("an enrolment bundle", VERSION, bytes)?;
        if outer.kdf != KDF {
            return Err(BundleError::Kdf(outer.kdf.chars().take(20).collect()));
        }
        let nonce: [u8; 12] =
            outer.nonce.as_slice().try_into().map_err(|_| BundleError::WrongPin)?;
        let mut sealed = Zeroizing::new(std::mem::take(&mut outer.sealed.0));
        let key = key_from_pin(pin, &outer)?;
        let aad = cbor::encode(&outer);
        let plain = key
            .open_in_place(Nonce::from(&nonce), Aad::from(aad), &mut sealed)
            .map_err(|_| BundleError::WrongPin)?;
        let inner: Inner = cbor::decode_versioned("an enrolment bundle", VERSION, plain)?;
        Self::from_inner(&inner, now)
    }

    /// The user, account, period and generation of the signing certificate.
    pub fn identity(&self) -> Result<UserIdentity, IdentityError> {
        identity::unverified(&self.sign_cert)
    }

    fn to_inner(&self) -> Inner {
        Inner {
            v: VERSION,
            cas: self.trust.cas.iter().map(|ca| Bytes::from(ca.as_ref())).collect(),
            uri: self.uri.clone(),
            server: self.server.clone(),
            account: self.trust.account.clone(),
            sign_key: self.sign_key.scalar().expose().into(),
            addresses: self.addresses.clone(),
            enrolment: self.enrolment_key.seed().expose().into(),
            sign_cert: self.sign_cert.as_ref().into(),
        }
    }

    fn from_inner(inner: &Inner, now: Timestamp) -> Result<Self, BundleError> {
        let content = |error: &dyn std::fmt::Display| BundleError::Content(error.to_string());
        let cas = trust::cas_from_wire(&inner.cas).map_err(|error| content(&error))?;
        if inner.addresses.is_empty() || inner.addresses.len() > ADDRESSES_MAX {
            return Err(content(&format!("expected 1 to {ADDRESSES_MAX} server addresses")));
        }
        let sign_cert = CertificateDer::from(inner.sign_cert.0.clone());
        let sign_key =
            SigningKey::from_scalar(inner.sign_key.as_slice()).map_err(|error| content(&error))?;
        let enrolment_key = kem::PrivateKey::from_seed(inner.enrolment.as_slice())
            .map_err(|error| content(&error))?;
        let claimed = identity::unverified(&sign_cert)?;
        let at = now.max(claimed.period.start());
        let identity = identity::verify_client(&sign_cert, &cas, at)?;
        let matches = identity.uri == inner.uri
            && identity.account == inner.account
            && identity::subject_public_key(&sign_cert)? == sign_key.public_key();
        if !matches {
            return Err(content(&"the certificate belongs to another user or key"));
        }
        Ok(Self {
            uri: inner.uri.clone(),
            trust: Trust::initial(inner.account.clone(), cas),
            addresses: inner.addresses.clone(),
            server: inner.server.clone(),
            enrolment_key,
            sign_key,
            sign_cert,
        })
    }
}

/// The text of a QR code: alphanumeric mode holds it without waste.
pub fn to_text(sealed: &[u8]) -> String {
    format!("{TEXT_PREFIX}{}", base45::encode(sealed))
}

/// The bundle in the text of a QR code.
pub fn from_text(text: &str) -> Result<Vec<u8>, BundleError> {
    let body = text.trim().strip_prefix(TEXT_PREFIX).ok_or(BundleError::Text)?;
    if body.len() > BUNDLE_MAX * 2 {
        return Err(BundleError::TooLarge(body.len()));
    }
    base45::decode(body).ok_or(BundleError::Text)
}

/// A fresh PIN: [`PIN_GENERATED_DIGITS`] digits in groups of four.
pub fn generate_pin(rng: &mut dyn Rng) -> Zeroizing<String> {
    let mut pin = Zeroizing::new(String::new());
    while pin.chars().filter(char::is_ascii_digit).count() < PIN_GENERATED_DIGITS {
        let mut byte = [0];
        rng.fill(&mut byte);
        // 250 is the largest multiple of ten in a byte: rejection keeps the digits uniform.
        if byte[0] >= 250 {
            continue;
        }
        if !pin.is_empty() && pin.len() % 5 == 4 {
            pin.push('-');
        }
        pin.push(char::from(b'0' + byte[0] % 10));
    }
    pin
}

/// Spaces and dashes in a PIN are for people.
fn normalised(pin: &str) -> Result<Zeroizing<String>, BundleError> {
    let pin: String = pin.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    let pin = Zeroizing::new(pin);
    if pin.chars().count() < PIN_MIN { Err(BundleError::PinTooShort) } else { Ok(pin) }
}

fn key_from_pin(pin: &str, outer: &Outer) -> Result<LessSafeKey, BundleError> {
    let cost = KdfCost { memory_kib: outer.memory, passes: outer.passes, lanes: outer.lanes };
    let params = cost.check()?;
    let pin = normalised(pin)?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(pin.as_bytes(), outer.salt.as_slice(), key.as_mut_slice())
        .map_err(|error| BundleError::Kdf(error.to_string()))?;
    let key = UnboundKey::new(&AES_256_GCM, key.as_slice())
        .map_err(|_| BundleError::Kdf("no key".into()))?;
    Ok(LessSafeKey::new(key))
}

#[cfg(test)]
mod tests;
