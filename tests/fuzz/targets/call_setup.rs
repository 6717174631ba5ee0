//! Offers and answers of calls: as anybody may send them, and with a body of any content under the
//! right signature.
#![no_main]

#[path = "../support.rs"]
mod support;

use crs_keys::call::{CallRoute, PendingOffer, answer, offer, open_offer};
use crs_keys::srtp::Profile;
use crs_types::rng::SeededRng;
use libfuzzer_sys::fuzz_target;
use support::{NOW, World, session, signed_call, world};

fn route(world: &World) -> CallRoute {
    CallRoute {
        session: session(),
        from_account: world.trust.account.clone(),
        from: world.alice.identity.uri.clone(),
        to: world.bob.identity.uri.clone(),
    }
}

/// Its bytes are replaced by known ones, so that a seed can name their hash.
fn pending(world: &World) -> PendingOffer {
    let mut rng = SeededRng::new(5);
    let made = offer(route(world), b"", &Profile::ALL, &world.alice, &mut rng, NOW);
    let mut pending = made.expect("an offer");
    pending.offer = b"the offer".to_vec();
    pending
}

fuzz_target!(|bytes: &[u8]| {
    let (world, mut rng) = (world(), SeededRng::new(6));
    let (route, pending) = (route(world), pending(world));
    let open = |offer: &[u8]| open_offer(offer, &route, &world.trust, NOW);
    let close =
        |answer: &[u8]| pending.open_answer(answer, &world.trust.account, &world.trust, NOW);
    assert!(open(bytes).is_err(), "nobody guesses a signature");
    assert!(close(bytes).is_err(), "nobody guesses a signature");
    assert!(open(&signed_call("crs-answer-v1", bytes, &world.alice)).is_err(), "purpose");
    assert!(open(&signed_call("crs-offer-v1", bytes, &world.bob)).is_err(), "not the caller");
    if let Ok(offer) = open(&signed_call("crs-offer-v1", bytes, &world.alice)) {
        assert_eq!(offer.caller, world.alice.identity);
        let _ = answer(&offer, b"", &Profile::ALL, &world.bob, &mut rng, NOW);
    }
    if let Ok(answered) = close(&signed_call("crs-answer-v1", bytes, &world.bob)) {
        assert_eq!(answered.callee, world.bob.identity);
    }
});
