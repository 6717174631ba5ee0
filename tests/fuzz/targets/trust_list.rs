//! Trust lists: as anybody may send them, and with a payload of any content that the account's
//! authority has signed.
#![no_main]

#[path = "../support.rs"]
mod support;

use crs_keys::trust::{CAS_MAX, CONNECTED_MAX};
use libfuzzer_sys::fuzz_target;
use support::{cose_sign1, world};

fuzz_target!(|bytes: &[u8]| {
    let world = world();
    assert!(world.trust.accept(bytes).is_err(), "nobody guesses a signature");
    let other = cose_sign1(&world.alice.sign_key, "crs-trust-v1", bytes);
    assert!(world.trust.accept(&other).is_err(), "a user is no authority");
    if let Ok(trust) = world.trust.accept(&cose_sign1(world.ca.key(), "crs-trust-v1", bytes)) {
        assert_eq!(trust.account, world.trust.account);
        assert!((1..=CAS_MAX).contains(&trust.cas.len()));
        assert!(trust.connected.len() <= CONNECTED_MAX);
        assert!(!trust.connected.contains_key(&trust.account));
    }
});
