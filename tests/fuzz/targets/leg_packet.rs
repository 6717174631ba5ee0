//! Datagrams at the relay's STUN code: garbage binds no leg and is never answered.
#![no_main]

use crs_proto::leg::{LegBinding, LegCredentials};
use crs_types::rng::SeededRng;
use crs_types::{ClientAddr, Mono};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| {
    let mut rng = SeededRng::new(7);
    let credentials = LegCredentials::generate(&mut rng);
    let mut leg = LegBinding::new(1, credentials);
    let source = ClientAddr::new(([127, 0, 0, 1], 4000).into());
    let _ = crs_proto::leg::peek(packet);
    let effects = leg.handle(packet, source, false, Mono::from_micros(1), &mut rng);
    assert!(effects.send.is_none() && effects.change.is_none(), "nobody can guess the password");
});
