//! Tests of call set-up.

use crs_types::rng::SeededRng;
use proptest::prelude::*;

use super::*;
use crate::cbor::tests::assert_deterministic;
use crate::fixture::{Domain, NOW, domain, uri};
use crate::srtp::SrtpContext;
use crate::srtp::rtp::Header;

struct World {
    acme: Domain,
    caller: UserKeys,
    callee: UserKeys,
    route: CallRoute,
    rng: SeededRng,
}

fn world() -> World {
    let mut acme = domain("acme", 1);
    let caller = acme.keys("+46701111111", "2026-11");
    let callee = acme.keys("+46702222222", "2026-11");
    let route = CallRoute {
        session: SessionId::from_parts(NOW, [7; 10]),
        from_account: acme.trust.account.clone(),
        from: uri("+46701111111"),
        to: uri("+46702222222"),
    };
    World { acme, caller, callee, route, rng: SeededRng::new(5) }
}

impl World {
    fn offer(&mut self, profiles: &[Profile]) -> PendingOffer {
        let route = self.route.clone();
        offer(route, b"media of caller", profiles, &self.caller, &mut self.rng, NOW).unwrap()
    }

    fn read(&self, bytes: &[u8]) -> Result<Offer, CallError> {
        open_offer(bytes, &self.route, &self.acme.trust, NOW)
    }

    fn answer(&mut self, offer: &Offer) -> (Vec<u8>, CallKeys) {
        answer(offer, b"media of callee", &Profile::ALL, &self.callee, &mut self.rng, NOW).unwrap()
    }

    fn finish(&self, pending: &PendingOffer, answer: &[u8]) -> Result<Answered, CallError> {
        pending.open_answer(answer, &self.acme.trust.account, &self.acme.trust, NOW)
    }
}

#[test]
fn both_ends_get_the_same_keys_and_media_passes_both_ways() {
    for profile in Profile::ALL {
        let mut world = world();
        let pending = world.offer(&[profile]);
        assert!(pending.offer.len() < OFFER_MAX);
        assert_deterministic(&pending.offer);
        let offer = world.read(&pending.offer).unwrap();
        assert_eq!(offer.media, b"media of caller");
        assert_eq!(offer.caller, world.caller.identity);
        let (answer, callee_keys) = world.answer(&offer);
        assert_deterministic(&answer);
        let answered = world.finish(&pending, &answer).unwrap();
        assert_eq!(answered.media, b"media of callee");
        assert_eq!(answered.callee, world.callee.identity);
        assert_eq!(answered.keys.profile, profile);
        assert_ne!(answered.keys.caller, answered.keys.callee);
        let pairs = [
            (&answered.keys.caller, &callee_keys.caller),
            (&callee_keys.callee, &answered.keys.callee),
        ];
        for (sends, receives) in pairs {
            let mut packet = Header::new(111, 1, 160, 42).to_bytes().to_vec();
            packet.extend_from_slice(b"voice");
            let clear = packet.clone();
            SrtpContext::new(sends).unwrap().protect(&mut packet).unwrap();
            SrtpContext::new(receives).unwrap().unprotect(&mut packet).unwrap();
            assert_eq!(packet, clear);
        }
    }
}

#[test]
fn every_changed_byte_of_offer_and_answer_is_noticed() {
    let mut world = world();
    let pending = world.offer(&Profile::ALL);
    let offer = world.read(&pending.offer).unwrap();
    let (answer, _) = world.answer(&offer);
    for index in (0..pending.offer.len()).step_by(17) {
        let mut changed = pending.offer.clone();
        changed[index] ^= 1;
        assert!(world.read(&changed).is_err(), "byte {index} of the offer");
    }
    for index in (0..answer.len()).step_by(17) {
        let mut changed = answer.clone();
        changed[index] ^= 1;
        assert!(world.finish(&pending, &changed).is_err(), "byte {index} of the answer");
    }
}

#[test]
fn offers_and_answers_belong_to_their_session_and_parties() {
    let mut world = world();
    let pending = world.offer(&Profile::ALL);
    let routes = [
        CallRoute { session: SessionId::from_parts(NOW, [8; 10]), ..world.route.clone() },
        CallRoute { from: uri("+46703333333"), ..world.route.clone() },
        CallRoute { to: uri("+46703333333"), ..world.route.clone() },
    ];
    for route in routes {
        let refused = open_offer(&pending.offer, &route, &world.acme.trust, NOW);
        assert!(matches!(refused, Err(CallError::Route)), "{route:?}");
    }
    // The answer to one offer is none to the next, even in the same session.
    let offer = world.read(&pending.offer).unwrap();
    let (first_answer, _) = world.answer(&offer);
    let again = world.offer(&Profile::ALL);
    assert!(matches!(world.finish(&again, &first_answer), Err(CallError::OtherOffer)));
    // An offer sent back is no answer.
    assert!(world.finish(&pending, &pending.offer).is_err());
}

#[test]
fn replays_and_foreign_months_are_refused() {
    let mut world = world();
    let pending = world.offer(&Profile::ALL);
    let later = NOW.plus(AGE_MAX).plus(Duration::from_millis(1));
    let stale = open_offer(&pending.offer, &world.route, &world.acme.trust, later);
    assert!(matches!(stale, Err(CallError::Time(_))));
    let early = NOW.minus(AGE_MAX).minus(Duration::from_millis(1));
    let early = open_offer(&pending.offer, &world.route, &world.acme.trust, early);
    assert!(matches!(early, Err(CallError::Time(_))));
    world.caller = world.acme.keys("+46701111111", "2026-09");
    let old = world.offer(&Profile::ALL);
    assert!(matches!(world.read(&old.offer), Err(CallError::Period)));
}

#[test]
fn profiles_are_negotiated_and_unknown_accounts_refused() {
    let mut world = world();
    let pending = world.offer(&[Profile::Aes128Gcm]);
    let offer = world.read(&pending.offer).unwrap();
    let none = answer(&offer, b"", &[Profile::Aes256Gcm], &world.callee, &mut world.rng, NOW);
    assert!(matches!(none, Err(CallError::NoProfile)));
    let stranger = domain("acme", 9).trust;
    let refused = open_offer(&pending.offer, &world.route, &stranger, NOW);
    assert!(matches!(refused, Err(CallError::Certificate(_))));
    let long = vec![0; MEDIA_MAX + 1];
    let route = world.route.clone();
    let refused = super::offer(route, &long, &Profile::ALL, &world.caller, &mut world.rng, NOW);
    assert!(matches!(refused, Err(CallError::TooLong(_))));
    let huge = open_offer(&vec![0; OFFER_MAX + 1], &world.route, &world.acme.trust, NOW);
    assert!(matches!(huge, Err(CallError::TooLong(_))));
}

#[test]
fn the_largest_media_description_fits_an_offer() {
    let mut world = world();
    let media = vec![7; MEDIA_MAX];
    let route = world.route.clone();
    let pending = offer(route, &media, &Profile::ALL, &world.caller, &mut world.rng, NOW).unwrap();
    assert!(pending.offer.len() <= OFFER_MAX, "{}", pending.offer.len());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let world = world();
        prop_assert!(world.read(&bytes).is_err());
    }
}
