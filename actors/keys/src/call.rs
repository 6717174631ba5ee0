//! End-to-end call set-up: a signed offer with an ephemeral X-Wing key, a signed answer that
//! encapsulates to it, and from both the SRTP keys of the two directions (forward secrecy).

use std::time::Duration;

use crs_types::limits::OFFER_MAX;
use crs_types::{AccountId, Rng, SessionId, Timestamp, Uri};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cbor::{self, Bytes, CborError};
use crate::derive;
use crate::identity::{self, IdentityError, UserIdentity};
use crate::kem::{self, KemError};
use crate::p256::{self, KeyError};
use crate::package::UserKeys;
use crate::srtp::{MasterKey, Profile};
use crate::trust::Trust;

const LABEL: &str = "crs-call-v1";
const VERSION: u64 = 1;
/// Largest media description in an offer or answer, in bytes.
pub const MEDIA_MAX: usize = 12 * 1024;
/// How far the time in an offer or answer may be from the reader's clock.
pub const AGE_MAX: Duration = Duration::from_secs(600);

/// Who calls whom in which session: what offer and answer bind and the server also knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRoute {
    /// The session.
    pub session: SessionId,
    /// The caller's account.
    pub from_account: AccountId,
    /// The caller.
    pub from: Uri,
    /// The called user.
    pub to: Uri,
}

/// The caller's state between its offer and the answer. Dropping it forgets the ephemeral key.
pub struct PendingOffer {
    route: CallRoute,
    ephemeral: kem::PrivateKey,
    profiles: Vec<Profile>,
    /// The bytes to send.
    pub offer: Vec<u8>,
}

/// A verified offer.
#[derive(Debug, Clone)]
pub struct Offer {
    route: CallRoute,
    ephemeral: kem::PublicKey,
    hash: [u8; 32],
    /// The caller, from its verified certificate.
    pub caller: UserIdentity,
    /// SRTP profiles the caller can use, best first.
    pub profiles: Vec<Profile>,
    /// The caller's media description (docs/protocol-e2e.md, *Media description*).
    pub media: Vec<u8>,
}

/// A verified answer, at the caller.
#[derive(Debug)]
pub struct Answered {
    /// Who answered, from its verified certificate.
    pub callee: UserIdentity,
    /// The callee's media description.
    pub media: Vec<u8>,
    /// The keys.
    pub keys: CallKeys,
}

/// SRTP master keys of both directions.
#[derive(Debug, Clone)]
pub struct CallKeys {
    /// The chosen profile.
    pub profile: Profile,
    /// Protects what the caller sends.
    pub caller: MasterKey,
    /// Protects what the callee sends.
    pub callee: MasterKey,
}

/// Why an offer or answer was refused or could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Too long.
    #[error("the media description has {0} bytes, at most {MEDIA_MAX} fit")]
    TooLong(usize),
    /// Malformed, or of an unknown version.
    #[error("call set-up: {0}")]
    Cbor(#[from] CborError),
    /// Made for another session or user.
    #[error("call set-up: it was made for another session or by another user than it came with")]
    Route,
    /// Too old, or from the future.
    #[error("call set-up: its time {0} is more than 10 minutes from now; check the clocks")]
    Time(Timestamp),
    /// The certificate.
    #[error("call set-up: certificate: {0}")]
    Certificate(#[from] IdentityError),
    /// The certificate's month (plus grace) is over or has not begun.
    #[error("call set-up: the other side's keys are not of this month")]
    Period,
    /// The signature or a key.
    #[error("call set-up: {0}")]
    Key(#[from] KeyError),
    /// The encapsulation.
    #[error("call set-up: {0}")]
    Kem(#[from] KemError),
    /// No common SRTP profile.
    #[error("call set-up: no SRTP profile in common")]
    NoProfile,
    /// The answer is to another offer.
    #[error("call set-up: the answer is to another offer")]
    OtherOffer,
}

/// The signed parts of an offer, in deterministic field order.
#[derive(Serialize, Deserialize)]
struct OfferBody {
    v: u64,
    to: Uri,
    key: Bytes,
    from: Uri,
    time: Timestamp,
    media: Bytes,
    account: AccountId,
    session: Bytes,
    profiles: Vec<u16>,
}

#[derive(Serialize, Deserialize)]
struct AnswerBody {
    v: u64,
    to: Uri,
    enc: Bytes,
    from: Uri,
    time: Timestamp,
    media: Bytes,
    offer: Bytes,
    account: AccountId,
    profile: u16,
    session: Bytes,
}

#[derive(Serialize, Deserialize)]
struct Signed {
    v: u64,
    sig: Bytes,
    body: Bytes,
    cert: Bytes,
}

/// Makes an offer.
pub fn offer(
    route: CallRoute,
    media: &[u8],
    profiles: &[Profile],
    keys: &UserKeys,
    rng: &mut dyn Rng,
    now: Timestamp,
) -> Result<PendingOffer, CallError> {
    check_media(media)?;
    if keys.identity.uri != route.from || keys.identity.account != route.from_account {
        return Err(CallError::Route);
    }
    let ephemeral = kem::PrivateKey::generate(rng);
    let body = OfferBody {
        v: VERSION,
        to: route.to.clone(),
        key: ephemeral.public_key()?.to_bytes().into(),
        from: route.from.clone(),
        time: now,
        media: media.into(),
        account: route.from_account.clone(),
        session: route.session.as_bytes().as_slice().into(),
        profiles: profiles.iter().map(|profile| profile.id()).collect(),
    };
    let offer = sign("crs-offer-v1", &cbor::encode(&body), keys)?;
    Ok(PendingOffer { route, ephemeral, profiles: profiles.to_vec(), offer })
}

/// Verifies an offer at the called user. `route` is what the server said.
pub fn open_offer(
    bytes: &[u8],
    route: &CallRoute,
    trust: &Trust,
    now: Timestamp,
) -> Result<Offer, CallError> {
    let cas = trust.cas_of(&route.from_account);
    let (body, caller) = verify("crs-offer-v1", bytes, cas, now)?;
    let body: OfferBody = cbor::decode_versioned("a call offer", VERSION, &body)?;
    let matches = body.session.as_slice() == route.session.as_bytes()
        && body.from == route.from
        && body.to == route.to
        && body.account == route.from_account
        && caller.uri == route.from
        && caller.account == route.from_account;
    if !matches {
        return Err(CallError::Route);
    }
    check_time(body.time, now)?;
    check_media(body.media.as_slice())?;
    Ok(Offer {
        route: route.clone(),
        ephemeral: kem::PublicKey::from_bytes(body.key.as_slice())?,
        hash: derive::sha256(bytes),
        caller,
        // Profiles that this program does not know are skipped: that is how they are negotiated.
        profiles: body.profiles.iter().filter_map(|id| Profile::from_id(*id)).collect(),
        media: body.media.0,
    })
}

/// Answers an offer: the bytes to send and the keys of the call. The first profile of the offer
/// that is among `profiles` is taken.
pub fn answer(
    offer: &Offer,
    media: &[u8],
    profiles: &[Profile],
    keys: &UserKeys,
    rng: &mut dyn Rng,
    now: Timestamp,
) -> Result<(Vec<u8>, CallKeys), CallError> {
    check_media(media)?;
    let profile = offer.profiles.iter().find(|profile| profiles.contains(profile));
    let profile = *profile.ok_or(CallError::NoProfile)?;
    if keys.identity.uri != offer.route.to {
        return Err(CallError::Route);
    }
    let (enc, context) = kem::setup_sender(&offer.ephemeral, LABEL.as_bytes(), rng)?;
    let body = AnswerBody {
        v: VERSION,
        to: offer.route.to.clone(),
        enc: enc.into(),
        from: offer.route.from.clone(),
        time: now,
        media: media.into(),
        offer: offer.hash.as_slice().into(),
        account: keys.identity.account.clone(),
        profile: profile.id(),
        session: offer.route.session.as_bytes().as_slice().into(),
    };
    let body = cbor::encode(&body);
    let exported = context.export::<EXPORT_LEN>(&export_context(&offer.hash, &body))?;
    let answer = sign("crs-answer-v1", &body, keys)?;
    Ok((answer, CallKeys::split(profile, &exported)))
}

impl PendingOffer {
    /// Verifies an answer at the caller and derives the keys. An offer forks to several devices:
    /// each answer is opened by itself, the server says which one won.
    pub fn open_answer(
        &self,
        bytes: &[u8],
        callee_account: &AccountId,
        trust: &Trust,
        now: Timestamp,
    ) -> Result<Answered, CallError> {
        let cas = trust.cas_of(callee_account);
        let (body_bytes, callee) = verify("crs-answer-v1", bytes, cas, now)?;
        let body: AnswerBody = cbor::decode_versioned("a call answer", VERSION, &body_bytes)?;
        let hash = derive::sha256(&self.offer);
        let matches = body.session.as_slice() == self.route.session.as_bytes()
            && body.from == self.route.from
            && body.to == self.route.to
            && body.account == *callee_account
            && callee.uri == self.route.to
            && callee.account == *callee_account;
        if !matches {
            return Err(CallError::Route);
        }
        if body.offer.as_slice() != hash {
            return Err(CallError::OtherOffer);
        }
        check_time(body.time, now)?;
        check_media(body.media.as_slice())?;
        let profile = Profile::from_id(body.profile).ok_or(CallError::NoProfile)?;
        if !self.profiles.contains(&profile) {
            return Err(CallError::NoProfile);
        }
        let context = kem::setup_receiver(&self.ephemeral, body.enc.as_slice(), LABEL.as_bytes())?;
        let exported = context.export::<EXPORT_LEN>(&export_context(&hash, &body_bytes))?;
        let keys = CallKeys::split(profile, &exported);
        Ok(Answered { callee, media: body.media.0, keys })
    }
}

impl CallKeys {
    /// Caller's key, callee's key, caller's salt, callee's salt (as RFC 5764 §4.2 orders them).
    fn split(profile: Profile, exported: &[u8; EXPORT_LEN]) -> Self {
        let key = profile.key_len();
        let (keys, salts) = exported.split_at(64);
        Self {
            profile,
            caller: MasterKey::new(profile, &keys[..key], &salts[..12]),
            callee: MasterKey::new(profile, &keys[32..32 + key], &salts[12..24]),
        }
    }
}

impl std::fmt::Debug for PendingOffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PendingOffer({})", self.route.session)
    }
}

/// Two keys of up to 32 bytes and two salts of 12.
const EXPORT_LEN: usize = 2 * 32 + 2 * 12;

/// Both ends have seen the same offer and the same answer, or their keys differ.
fn export_context(offer_hash: &[u8; 32], answer_body: &[u8]) -> Vec<u8> {
    let answer_hash = derive::sha256(answer_body);
    cbor::encode(&(
        "crs-srtp-v1",
        Bytes::from(offer_hash.as_slice()),
        Bytes::from(answer_hash.as_slice()),
    ))
}

fn sign(purpose: &str, body: &[u8], keys: &UserKeys) -> Result<Vec<u8>, CallError> {
    let sig = keys.sign_key.sign(&signing_input(purpose, body, &keys.sign_cert))?;
    Ok(cbor::encode(&Signed {
        v: VERSION,
        sig: sig.into(),
        body: body.into(),
        cert: keys.sign_cert.as_ref().into(),
    }))
}

fn verify(
    purpose: &str,
    bytes: &[u8],
    cas: &[CertificateDer<'_>],
    now: Timestamp,
) -> Result<(Zeroizing<Vec<u8>>, UserIdentity), CallError> {
    if bytes.len() > OFFER_MAX {
        return Err(CallError::TooLong(bytes.len()));
    }
    let signed: Signed = cbor::decode_versioned("a signed call set-up", VERSION, bytes)?;
    let certificate = CertificateDer::from(signed.cert.0);
    let user = identity::verify_certificate(&certificate, cas, now)?;
    match user.period.standing(now) {
        crs_types::period::Standing::Valid => {}
        crs_types::period::Standing::NotYet
        | crs_types::period::Standing::UpdateOnly
        | crs_types::period::Standing::Expired => return Err(CallError::Period),
    }
    let public = identity::subject_public_key(&certificate)?;
    let input = signing_input(purpose, signed.body.as_slice(), &certificate);
    p256::verify(&public, &input, signed.sig.as_slice())?;
    Ok((Zeroizing::new(signed.body.0), user))
}

fn signing_input(purpose: &str, body: &[u8], certificate: &[u8]) -> Vec<u8> {
    let hash = derive::sha256(certificate);
    cbor::encode(&(purpose, Bytes::from(hash.as_slice()), Bytes::from(body)))
}

fn check_media(media: &[u8]) -> Result<(), CallError> {
    if media.len() > MEDIA_MAX { Err(CallError::TooLong(media.len())) } else { Ok(()) }
}

fn check_time(time: Timestamp, now: Timestamp) -> Result<(), CallError> {
    let apart = time.since(now).max(now.since(time));
    if apart > AGE_MAX { Err(CallError::Time(time)) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
