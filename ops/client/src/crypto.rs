//! What the client asks of `crs-keys`: its own keys, other users' keys, messages, packages.

use crs_keys::bundle::{Bundle, ServerTrust as BundleTrust};
use crs_keys::call::{self, CallError, CallRoute, Offer};
use crs_keys::envelope::{self, EnvelopeError, Route};
use crs_keys::identity::{IdentityError, UserIdentity};
use crs_keys::kem;
use crs_keys::kem_cert::{self, KemCertificate};
use crs_keys::p256::SigningKey;
use crs_keys::package::{self, UserKeys};
use crs_keys::srtp::Profile;
use crs_keys::trust::Trust;
use crs_proto::session::DetailWord;
use crs_proto::wire::call::{CallState, HangupReason};
use crs_proto::wire::lookup::Found;
use crs_proto::wire::message::Content;
use crs_types::period::Standing;
use crs_types::{MessageId, Rng, Timestamp};
use rustls_pki_types::CertificateDer;

use crate::error::ClientError;
use crate::identity::{Identity, KemKeys, PeriodKeys, ServerTrust, TrustedAccount};

/// A message could not be opened.
pub(crate) enum OpenFailure {
    /// Encrypted to a key that may still come with a key update.
    UnknownKey(String),
    /// It never will be.
    Unreadable(String),
}

/// Why an offer or answer is refused, in the words of `call.hangup` (docs/protocol-e2e.md §7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OfferRefused {
    pub(crate) reason: HangupReason,
    pub(crate) detail: DetailWord,
    /// For a person.
    pub(crate) why: String,
}

impl From<CallError> for OfferRefused {
    fn from(error: CallError) -> Self {
        let detail = match &error {
            CallError::TooLong(_)
            | CallError::Cbor(_)
            | CallError::Kem(_)
            | CallError::Route
            | CallError::Time(_)
            | CallError::OtherOffer => DetailWord::BadOffer,
            CallError::NoProfile => DetailWord::NoProfile,
            CallError::Period
            | CallError::Certificate(
                IdentityError::NoCa { .. } | IdentityError::NotYetValid | IdentityError::Expired,
            ) => DetailWord::NoKeys,
            CallError::Certificate(_) | CallError::Key(_) => DetailWord::BadSignature,
        };
        let incompatible = detail == DetailWord::NoProfile;
        let reason = if incompatible { HangupReason::Incompatible } else { HangupReason::Error };
        Self { reason, detail, why: error.to_string() }
    }
}

impl Identity {
    /// The identity in an enrolment bundle. `roots` are the public PKI's, used only when the
    /// bundle names a public certificate.
    pub fn from_bundle(
        bundle: &Bundle,
        device: crs_types::DeviceId,
        roots: Vec<Vec<u8>>,
    ) -> Result<Self, ClientError> {
        let user = bundle.identity().map_err(crypto("the bundle's certificate"))?;
        let trust = match &bundle.server {
            BundleTrust::PoolCa(ca) => ServerTrust::PoolCa(vec![ca.as_slice().to_vec()]),
            BundleTrust::PublicName(name) => ServerTrust::PublicPki { name: name.clone(), roots },
        };
        let first = PeriodKeys {
            period: user.period,
            generation: user.generation,
            serial: 0,
            sign_cert: bundle.sign_cert.as_ref().to_vec(),
            sign_key: bundle.sign_key.scalar().clone(),
            kem: None,
        };
        Ok(Self {
            account: user.account,
            uri: bundle.uri.clone(),
            device,
            servers: bundle.addresses.clone(),
            trust,
            enrolment_key: Some(bundle.enrolment_key.seed().clone()),
            keys: vec![first],
            trust_serial: bundle.trust.serial,
            cas: trusted_accounts(&bundle.trust),
        })
    }

    /// An identity made in memory, for the health check and for tests.
    pub fn from_keys(
        keys: &UserKeys,
        trust: &Trust,
        servers: Vec<String>,
        server_trust: ServerTrust,
        device: crs_types::DeviceId,
    ) -> Self {
        Self {
            account: keys.identity.account.clone(),
            uri: keys.identity.uri.clone(),
            device,
            servers,
            trust: server_trust,
            enrolment_key: None,
            keys: vec![period_keys(keys, 0)],
            trust_serial: trust.serial,
            cas: trusted_accounts(trust),
        }
    }

    /// Whose CAs count, as `crs-keys` takes it.
    pub fn keys_trust(&self) -> Trust {
        let der = |cas: &Vec<Vec<u8>>| cas.iter().cloned().map(CertificateDer::from).collect();
        let own = self.cas.iter().find(|t| t.account == self.account);
        let mut trust =
            Trust::initial(self.account.clone(), own.map(|t| der(&t.cas)).unwrap_or_default());
        trust.serial = self.trust_serial;
        let others = self.cas.iter().filter(|t| t.account != self.account);
        trust.connected = others.map(|t| (t.account.clone(), der(&t.cas))).collect();
        trust
    }

    /// The keys to sign with now.
    pub(crate) fn signing_keys(&self, now: Timestamp) -> Result<UserKeys, ClientError> {
        let keys = self.current_keys(now).filter(|keys| keys.kem.is_some());
        // Until the month's own package has come, the newest complete keys serve.
        let keys = keys.or_else(|| self.keys.iter().find(|keys| keys.kem.is_some()));
        let keys = keys.ok_or_else(|| ClientError::Crypto {
            what: "own keys",
            why: "no key update has been fetched yet; connect once to get it".to_owned(),
        })?;
        user_keys(self, keys)
    }
}

/// The newest encapsulation key of a user that is valid now, verified.
pub(crate) fn receiver_key(
    identity: &Identity,
    found: &Found,
    now: Timestamp,
) -> Result<KemCertificate, ClientError> {
    let trust = identity.keys_trust();
    let cas = trust.cas_of(&found.account);
    if cas.is_empty() {
        return Err(ClientError::Crypto {
            what: "the receiver's keys",
            why: format!("the account {} is not connected with ours", found.account),
        });
    }
    let mut why = "the server gave none that is valid now".to_owned();
    let mut best: Option<KemCertificate> = None;
    for keys in &found.keys {
        match kem_cert::verify(&keys.kem_cert.0, cas, now) {
            Ok(cert)
                if cert.identity.uri != found.uri || cert.identity.account != found.account =>
            {
                why = "a certificate of another user".to_owned();
            }
            Ok(cert) if cert.identity.period.standing(now) == Standing::Valid => {
                let age = |of: &KemCertificate| (of.identity.period, of.identity.generation);
                let newer = best.as_ref().is_none_or(|best| age(best) < age(&cert));
                if newer {
                    best = Some(cert);
                }
            }
            Ok(_) => {}
            Err(error) => why = error.to_string(),
        }
    }
    best.ok_or(ClientError::Crypto { what: "the receiver's keys", why })
}

/// Seals a message to a verified key.
pub(crate) fn seal(
    identity: &Identity,
    receiver: &KemCertificate,
    mid: MessageId,
    plain: &[u8],
    rng: &mut dyn Rng,
) -> Result<Vec<u8>, ClientError> {
    // Receivers look at the certificate as of the message's time: one that was written before the
    // month ended is signed with that month's keys, whenever it is sealed.
    let sender = identity.signing_keys(mid.claimed_time())?;
    let route = Route {
        from_account: identity.account.clone(),
        from: identity.uri.clone(),
        to_account: receiver.identity.account.clone(),
        to: receiver.identity.uri.clone(),
        mid,
    };
    envelope::seal(plain, &route, &sender, receiver, rng).map_err(crypto("sealing a message"))
}

/// Opens a message from the mailbox.
pub(crate) fn open(
    identity: &Identity,
    content: &Content,
    now: Timestamp,
) -> Result<Vec<u8>, OpenFailure> {
    let route = Route {
        from_account: content.account.clone(),
        from: content.from.clone(),
        to_account: identity.account.clone(),
        to: identity.uri.clone(),
        mid: content.mid,
    };
    let key = |id: kem::KeyId| {
        let seeds = identity.keys.iter().filter_map(|keys| keys.kem.as_ref());
        let keys = seeds.filter_map(|kem| kem::PrivateKey::from_seed(kem.seed.expose()).ok());
        keys.into_iter().find(|key| key.public_key().is_ok_and(|public| public.id() == id))
    };
    match envelope::open(&content.body.0, &route, key, &identity.keys_trust(), now) {
        Ok(message) => Ok(message.body.to_vec()),
        Err(error @ EnvelopeError::UnknownKey(_)) => {
            Err(OpenFailure::UnknownKey(error.to_string()))
        }
        Err(error) => Err(OpenFailure::Unreadable(error.to_string())),
    }
}

/// Verifies the offer of a call for this user. `state` is what the server said.
pub(crate) fn open_offer(
    identity: &Identity,
    state: &CallState,
    now: Timestamp,
) -> Result<Offer, OfferRefused> {
    let route = CallRoute {
        session: state.session,
        from_account: state.from_account.clone(),
        from: state.from.clone(),
        to: identity.uri.clone(),
    };
    let bytes = state.offer.as_ref().map_or(&[][..], |offer| offer.0.as_slice());
    let offer = call::open_offer(bytes, &route, &identity.keys_trust(), now)?;
    if offer.profiles.iter().any(|profile| Profile::ALL.contains(profile)) {
        Ok(offer)
    } else {
        Err(CallError::NoProfile.into())
    }
}

/// Opens and verifies a month's package; returns the identity with its keys and trust list.
pub(crate) fn take_package(
    identity: &Identity,
    package: &[u8],
    serial: u64,
    now: Timestamp,
) -> Result<Identity, ClientError> {
    let what = "a key update";
    let seed = identity.enrolment_key.as_ref().ok_or_else(|| ClientError::Crypto {
        what,
        why: "this client cannot take key updates".to_owned(),
    })?;
    let enrolment = kem::PrivateKey::from_seed(seed.expose()).map_err(crypto(what))?;
    let trust = identity.keys_trust();
    let opened =
        package::open(package, &enrolment, &trust, &identity.uri, now).map_err(crypto(what))?;
    let mut next = identity.clone();
    next.trust_serial = opened.trust.serial;
    next.cas = trusted_accounts(&opened.trust);
    next.store_keys(period_keys(&opened.keys, serial), now);
    Ok(next)
}

fn period_keys(keys: &UserKeys, serial: u64) -> PeriodKeys {
    PeriodKeys {
        period: keys.identity.period,
        generation: keys.identity.generation,
        serial,
        sign_cert: keys.sign_cert.as_ref().to_vec(),
        sign_key: keys.sign_key.scalar().clone(),
        kem: Some(KemKeys { cert: keys.kem_cert.clone(), seed: keys.kem_key.seed().clone() }),
    }
}

fn user_keys(identity: &Identity, keys: &PeriodKeys) -> Result<UserKeys, ClientError> {
    let what = "own keys";
    let kem = keys
        .kem
        .as_ref()
        .ok_or_else(|| ClientError::Crypto { what, why: "no encapsulation key".to_owned() })?;
    Ok(UserKeys {
        identity: UserIdentity {
            account: identity.account.clone(),
            uri: identity.uri.clone(),
            period: keys.period,
            generation: keys.generation,
        },
        sign_key: SigningKey::from_scalar(keys.sign_key.expose()).map_err(crypto(what))?,
        sign_cert: CertificateDer::from(keys.sign_cert.clone()),
        kem_key: kem::PrivateKey::from_seed(kem.seed.expose()).map_err(crypto(what))?,
        kem_cert: kem.cert.clone(),
    })
}

fn trusted_accounts(trust: &Trust) -> Vec<TrustedAccount> {
    let plain = |cas: &[CertificateDer<'_>]| cas.iter().map(|ca| ca.as_ref().to_vec()).collect();
    let own = TrustedAccount { account: trust.account.clone(), cas: plain(&trust.cas) };
    let connected = trust.connected.iter();
    let others = connected
        .map(|(account, cas)| TrustedAccount { account: account.clone(), cas: plain(cas) });
    std::iter::once(own).chain(others).collect()
}

pub(crate) fn crypto<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> ClientError {
    move |error| ClientError::Crypto { what, why: error.to_string() }
}

#[cfg(test)]
mod tests;
