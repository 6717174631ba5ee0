//! End-to-end messages: HPKE (X-Wing, base mode) to the receiver, signed by the sender inside.
//!
//! The signature lies inside the encryption and covers receiver, key id and encapsulation, so
//! that a receiver cannot pass a message on as if it had been written to someone else.

use crs_types::{AccountId, MessageId, Period, Rng, Timestamp, Uri};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cbor::{self, Bytes, CborError};
use crate::derive;
use crate::identity::{self, IdentityError, UserIdentity};
use crate::kem::{self, KemError, KeyId};
use crate::kem_cert::KemCertificate;
use crate::p256::{self, KeyError};
use crate::package::UserKeys;
use crate::trust::Trust;

const LABEL: &str = "crs-msg-v1";
const VERSION: u64 = 1;
/// Largest message in bytes before encryption; with certificate, signature, padding and
/// encapsulation it stays within [`crs_types::limits::BODY_MAX`].
pub const MESSAGE_MAX: usize = 60 * 1024;
/// How far a message's id may lie in the future of the receiver's clock.
pub const FUTURE_MAX: std::time::Duration = crs_types::limits::ID_FUTURE_MAX;

/// Who writes to whom: what the envelope binds and the server also knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The sender's account.
    pub from_account: AccountId,
    /// The sender.
    pub from: Uri,
    /// The receiver's account.
    pub to_account: AccountId,
    /// The receiver.
    pub to: Uri,
    /// The message id.
    pub mid: MessageId,
}

/// An opened and verified message.
#[derive(Debug, Clone)]
pub struct Message {
    /// The sender, from its verified certificate.
    pub sender: UserIdentity,
    /// The content.
    pub body: Zeroizing<Vec<u8>>,
}

/// Why an envelope was refused or could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Too long.
    #[error("the message has {0} bytes, at most {MESSAGE_MAX} fit")]
    TooLong(usize),
    /// Malformed, or of an unknown version.
    #[error("message envelope: {0}")]
    Cbor(#[from] CborError),
    /// The receiver's key is of another user than the route says, or the sender's.
    #[error("message envelope: the keys are of {found}, the route says {expected}")]
    Route {
        /// User in the route.
        expected: String,
        /// User of the keys.
        found: String,
    },
    /// Encrypted to a key that the receiver does not have (any more).
    #[error("message envelope: it is encrypted to key {0}, which this device does not have")]
    UnknownKey(KeyId),
    /// Wrong key, wrong route or changed bytes.
    #[error("message envelope: {0}")]
    Kem(#[from] KemError),
    /// The signature.
    #[error("message envelope: {0}")]
    Key(#[from] KeyError),
    /// The sender's certificate.
    #[error("message envelope: sender's certificate: {0}")]
    Certificate(#[from] IdentityError),
    /// The sender's keys were not in their month (plus grace) when the message was written.
    #[error("message envelope: the sender's keys of {0} were not valid when it was written")]
    SenderPeriod(Period),
    /// The id claims a time in the future.
    #[error("message envelope: its id is from the future")]
    Future,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    v: u64,
    enc: Bytes,
    kid: Bytes,
    period: Period,
    sealed: Bytes,
}

#[derive(Serialize, Deserialize)]
struct Content {
    pad: Bytes,
    sig: Bytes,
    body: Bytes,
    cert: Bytes,
}

/// Encrypts and signs a message. `receiver` is the receiver's verified encapsulation certificate.
pub fn seal(
    body: &[u8],
    route: &Route,
    sender: &UserKeys,
    receiver: &KemCertificate,
    rng: &mut dyn Rng,
) -> Result<Vec<u8>, EnvelopeError> {
    if body.len() > MESSAGE_MAX {
        return Err(EnvelopeError::TooLong(body.len()));
    }
    expect_user(&route.to_account, &route.to, &receiver.identity)?;
    expect_user(&route.from_account, &route.from, &sender.identity)?;
    seal_unchecked(body, route, sender, receiver, rng)
}

/// The same for any route and body.
fn seal_unchecked(
    body: &[u8],
    route: &Route,
    sender: &UserKeys,
    receiver: &KemCertificate,
    rng: &mut dyn Rng,
) -> Result<Vec<u8>, EnvelopeError> {
    let period = receiver.identity.period;
    let aad = associated_data(route, period, receiver.key_id);
    let (enc, mut context) = kem::setup_sender(&receiver.key, LABEL.as_bytes(), rng)?;
    let sig = sender.sign_key.sign(&signing_input(&aad, &enc, &sender.sign_cert, body))?;
    let mut content = Content {
        pad: Bytes::default(),
        sig: sig.into(),
        body: body.into(),
        cert: sender.sign_cert.as_ref().into(),
    };
    let length = cbor::encode(&content).len();
    content.pad = vec![0; padded(length) - length].into();
    let plain = Zeroizing::new(cbor::encode(&content));
    let envelope = Envelope {
        v: VERSION,
        enc: enc.into(),
        kid: receiver.key_id.0.to_vec().into(),
        period,
        sealed: context.seal(&plain, &aad)?.into(),
    };
    Ok(cbor::encode(&envelope))
}

/// The key id an envelope is encrypted to, before any check.
pub fn key_id(envelope: &[u8]) -> Result<KeyId, EnvelopeError> {
    let envelope: Envelope = cbor::decode_versioned("a message envelope", VERSION, envelope)?;
    Ok(kid_of(&envelope)?)
}

/// Decrypts and verifies a message.
///
/// `route` is what the server said; `key` finds the receiver's private key by id (clients keep
/// old keys for 35 days plus the grace); `trust` decides whose CAs count. The sender's chain is
/// verified at the time in the message id, for a message may lie in a mailbox over a month end.
pub fn open(
    envelope: &[u8],
    route: &Route,
    key: impl FnOnce(KeyId) -> Option<kem::PrivateKey>,
    trust: &Trust,
    now: Timestamp,
) -> Result<Message, EnvelopeError> {
    let envelope: Envelope = cbor::decode_versioned("a message envelope", VERSION, envelope)?;
    let kid = kid_of(&envelope)?;
    let written = route.mid.claimed_time();
    if written > now.plus(FUTURE_MAX) {
        return Err(EnvelopeError::Future);
    }
    let key = key(kid).ok_or(EnvelopeError::UnknownKey(kid))?;
    let aad = associated_data(route, envelope.period, kid);
    let plain = kem::setup_receiver(&key, envelope.enc.as_slice(), LABEL.as_bytes())?
        .open(envelope.sealed.as_slice(), &aad)?;
    let mut content: Content = cbor::decode(&plain)?;
    let certificate = CertificateDer::from(std::mem::take(&mut content.cert.0));
    let sender = verify_sender(&certificate, route, trust, written)?;
    let enc = envelope.enc.as_slice();
    let input = signing_input(&aad, enc, &certificate, content.body.as_slice());
    let public = identity::subject_public_key(&certificate)?;
    p256::verify(&public, &input, content.sig.as_slice())?;
    Ok(Message { sender, body: Zeroizing::new(std::mem::take(&mut content.body.0)) })
}

fn verify_sender(
    certificate: &CertificateDer<'_>,
    route: &Route,
    trust: &Trust,
    written: Timestamp,
) -> Result<UserIdentity, EnvelopeError> {
    let cas = trust.cas_of(&route.from_account);
    let sender = identity::verify_certificate(certificate, cas, written)?;
    expect_user(&route.from_account, &route.from, &sender)?;
    match sender.period.standing(written) {
        crs_types::period::Standing::Valid => Ok(sender),
        crs_types::period::Standing::NotYet
        | crs_types::period::Standing::UpdateOnly
        | crs_types::period::Standing::Expired => Err(EnvelopeError::SenderPeriod(sender.period)),
    }
}

fn kid_of(envelope: &Envelope) -> Result<KeyId, CborError> {
    let wrong = || CborError::Malformed("kid: expected 16 bytes".into());
    envelope.kid.as_slice().try_into().map(KeyId).map_err(|_| wrong())
}

/// Binds everything that names the message; accounts are folded, for their case is not identity.
fn associated_data(route: &Route, period: Period, kid: KeyId) -> Vec<u8> {
    let Route { from_account, from, to_account, to, mid } = route;
    cbor::encode(&(
        LABEL,
        (from_account.folded(), from.as_str()),
        (to_account.folded(), to.as_str()),
        Bytes::from(mid.as_bytes().as_slice()),
        period.to_string(),
        Bytes::from(kid.0.as_slice()),
    ))
}

fn signing_input(aad: &[u8], enc: &[u8], certificate: &[u8], body: &[u8]) -> Vec<u8> {
    let hashed = |bytes: &[u8]| Bytes::from(derive::sha256(bytes).as_slice());
    cbor::encode(&(
        "crs-msg-sig-v1",
        Bytes::from(aad),
        Bytes::from(enc),
        hashed(certificate),
        hashed(body),
    ))
}

fn expect_user(account: &AccountId, uri: &Uri, found: &UserIdentity) -> Result<(), EnvelopeError> {
    if found.account == *account && found.uri == *uri {
        return Ok(());
    }
    let expected = format!("{uri} of {account}");
    Err(EnvelopeError::Route { expected, found: format!("{} of {}", found.uri, found.account) })
}

/// Length to pad to: powers of two from 1 KiB to 4 KiB, then multiples of 2 KiB.
fn padded(length: usize) -> usize {
    // Three more bytes, because a longer padding needs a longer CBOR length field.
    let length = length + 3;
    if length <= 4096 { length.next_power_of_two().max(1024) } else { length.div_ceil(2048) * 2048 }
}

#[cfg(test)]
mod tests;
