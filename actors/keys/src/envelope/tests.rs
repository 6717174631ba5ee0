//! Tests of message envelopes: round trip, tampering, wrong parties, month ends.

use std::time::Duration;

use crs_types::rng::SeededRng;
use proptest::prelude::*;

use super::*;
use crate::cbor::tests::assert_deterministic;
use crate::fixture::{Domain, NOW, domain, period, uri};
use crate::kem_cert;

struct World {
    acme: Domain,
    sender: UserKeys,
    receiver: UserKeys,
    route: Route,
}

fn world() -> World {
    let mut acme = domain("acme", 1);
    let sender = acme.keys("+46701111111", "2026-11");
    let receiver = acme.keys("+46702222222", "2026-11");
    let route = Route {
        from_account: acme.trust.account.clone(),
        from: uri("+46701111111"),
        to_account: acme.trust.account.clone(),
        to: uri("+46702222222"),
        mid: MessageId::from_parts(NOW, [7; 10]),
    };
    World { acme, sender, receiver, route }
}

impl World {
    fn seal(&self, body: &[u8]) -> Vec<u8> {
        let certificate = kem_cert::verify(&self.receiver.kem_cert, &self.acme.trust.cas, NOW);
        let mut rng = SeededRng::new(5);
        seal(body, &self.route, &self.sender, &certificate.unwrap(), &mut rng).unwrap()
    }

    fn open_at(
        &self,
        envelope: &[u8],
        route: &Route,
        now: Timestamp,
    ) -> Result<Message, EnvelopeError> {
        let id = self.receiver.kem_key.public_key().unwrap().id();
        let key = |found| (found == id).then(|| self.receiver.kem_key.clone());
        open(envelope, route, key, &self.acme.trust, now)
    }

    fn open(&self, envelope: &[u8]) -> Result<Message, EnvelopeError> {
        self.open_at(envelope, &self.route, NOW)
    }
}

#[test]
fn a_message_opens_to_what_was_written_and_by_whom() {
    let world = world();
    let envelope = world.seal(b"hello");
    let message = world.open(&envelope).unwrap();
    assert_eq!(message.body.as_slice(), b"hello");
    assert_eq!(message.sender, world.sender.identity);
    assert_eq!(key_id(&envelope).unwrap(), world.receiver.kem_key.public_key().unwrap().id());
    assert_deterministic(&envelope);
}

#[test]
fn the_largest_message_fits_a_body_and_lengths_are_hidden() {
    let world = world();
    let largest = world.seal(&vec![7; MESSAGE_MAX]);
    assert!(largest.len() <= crs_types::limits::BODY_MAX, "{}", largest.len());
    assert_eq!(world.open(&largest).unwrap().body.len(), MESSAGE_MAX);
    let certificate = kem_cert::claimed(&world.receiver.kem_cert).unwrap();
    let mut rng = SeededRng::new(5);
    let long = vec![0; MESSAGE_MAX + 1];
    assert!(matches!(
        seal(&long, &world.route, &world.sender, &certificate, &mut rng),
        Err(EnvelopeError::TooLong(_))
    ));
    let spread = world.seal(b"yes").len().abs_diff(world.seal(b"no, not at all").len());
    assert!(spread <= 2, "short messages look alike: {spread}");
}

#[test]
fn every_changed_byte_is_noticed() {
    let world = world();
    let envelope = world.seal(b"hello");
    for index in (0..envelope.len()).step_by(11).chain(0..40) {
        let mut changed = envelope.clone();
        changed[index] ^= 1;
        assert!(world.open(&changed).is_err(), "byte {index}");
    }
}

#[test]
fn a_message_is_bound_to_everything_in_its_route() {
    let world = world();
    let envelope = world.seal(b"hello");
    let other_account = AccountId::parse("other").unwrap();
    let route = || world.route.clone();
    let routes = [
        Route { from: uri("+46703333333"), ..route() },
        Route { to: uri("+46703333333"), ..route() },
        Route { from_account: other_account.clone(), ..route() },
        Route { to_account: other_account, ..route() },
        Route { mid: MessageId::from_parts(NOW, [8; 10]), ..route() },
    ];
    for route in routes {
        assert!(world.open_at(&envelope, &route, NOW).is_err(), "{route:?}");
    }
    let upper = AccountId::parse("ACME").unwrap();
    let spelt = Route { from_account: upper, ..route() };
    assert!(world.open_at(&envelope, &spelt, NOW).is_ok(), "case is not identity");
}

#[test]
fn senders_cannot_pose_as_others() {
    let mut world = world();
    let certificate = kem_cert::claimed(&world.receiver.kem_cert).unwrap();
    let mut rng = SeededRng::new(5);
    // With another user's name in the route, sealing is refused …
    let mallory = world.acme.keys("+46703333333", "2026-11");
    assert!(matches!(
        seal(b"x", &world.route, &mallory, &certificate, &mut rng),
        Err(EnvelopeError::Route { .. })
    ));
    // … and whoever seals it all the same is not the sender that the route names …
    let envelope = seal_unchecked(b"x", &world.route, &mallory, &certificate, &mut rng).unwrap();
    assert!(matches!(world.open(&envelope), Err(EnvelopeError::Route { .. })));
    // … with a certificate of another's name but the own key, the signature does not verify …
    let mut forged = world.sender.clone();
    forged.sign_key = mallory.sign_key;
    let envelope = seal(b"x", &world.route, &forged, &certificate, &mut rng).unwrap();
    assert!(matches!(world.open(&envelope), Err(EnvelopeError::Key(_))));
    // … and with a namesake account's certificate, the chain does not.
    let stranger = domain("acme", 9).keys("+46701111111", "2026-11");
    let envelope = seal(b"x", &world.route, &stranger, &certificate, &mut rng).unwrap();
    assert!(matches!(world.open(&envelope), Err(EnvelopeError::Certificate(_))));
}

#[test]
fn only_connected_accounts_are_heard() {
    let mut world = world();
    let mut rival = domain("rival", 4);
    world.sender = rival.keys("+46701111111", "2026-11");
    world.route.from_account = rival.trust.account.clone();
    let envelope = world.seal(b"hello");
    let refused = world.open(&envelope);
    assert!(matches!(refused, Err(EnvelopeError::Certificate(IdentityError::NoCa { .. }))));
    world.acme.trust.connected.insert(rival.trust.account.clone(), rival.trust.cas.clone());
    assert!(world.open(&envelope).is_ok());
}

#[test]
fn a_message_may_lie_over_a_month_end_but_not_be_signed_with_old_keys() {
    let mut world = world();
    let december = period("2026-12");
    // Written in the last minute of November, read weeks later.
    world.route.mid =
        MessageId::from_parts(december.start().minus(Duration::from_secs(60)), [1; 10]);
    let envelope = world.seal(b"hello");
    let later = december.end();
    assert!(world.open_at(&envelope, &world.route, later).is_ok());
    // Written with November's keys on 8 December: the grace of 7 days is over.
    let after_grace = december.start().plus(crs_types::period::GRACE);
    world.route.mid = MessageId::from_parts(after_grace.minus(Duration::from_millis(1)), [1; 10]);
    assert!(world.open_at(&world.seal(b"x"), &world.route, later).is_ok());
    world.route.mid = MessageId::from_parts(after_grace, [1; 10]);
    assert!(matches!(
        world.open_at(&world.seal(b"x"), &world.route, later),
        Err(EnvelopeError::SenderPeriod(_))
    ));
    world.route.mid = MessageId::from_parts(NOW.plus(Duration::from_secs(90_000)), [1; 10]);
    assert!(matches!(world.open(&world.seal(b"x")), Err(EnvelopeError::Future)));
}

#[test]
fn unknown_keys_and_versions_are_named() {
    let world = world();
    let envelope = world.seal(b"hello");
    let refused = open(&envelope, &world.route, |_| None, &world.acme.trust, NOW);
    assert!(matches!(refused, Err(EnvelopeError::UnknownKey(_))));
    let mut newer: Envelope = cbor::decode(&envelope).unwrap();
    newer.v = 2;
    let error = world.open(&cbor::encode(&newer)).unwrap_err();
    assert!(error.to_string().contains("version 2"), "{error}");
}

#[test]
fn encapsulation_certificates_are_bound_to_account_and_time() {
    let world = world();
    let cas = &world.acme.trust.cas;
    let certificate = &world.receiver.kem_cert;
    assert!(kem_cert::verify(certificate, cas, NOW).is_ok());
    assert!(kem_cert::verify(certificate, &domain("acme", 9).trust.cas, NOW).is_err());
    let month = period("2026-11");
    let early = month.start().minus(Duration::from_millis(1));
    let late = month.end().plus(crs_types::period::UPDATE_ONLY);
    assert!(kem_cert::verify(certificate, cas, early).is_err());
    assert!(kem_cert::verify(certificate, cas, late).is_err());
    for index in (0..certificate.len()).step_by(13) {
        let mut changed = certificate.clone();
        changed[index] ^= 1;
        assert!(kem_cert::verify(&changed, cas, NOW).is_err(), "byte {index}");
    }
    assert_deterministic(certificate);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(key_id(&bytes).is_err());
    }
}
