//! Key packages: any bytes, and a good package with one part replaced by any bytes.
#![no_main]

#[path = "../support.rs"]
mod support;

use std::sync::OnceLock;

use crs_keys::cbor::Bytes;
use crs_keys::kem::PrivateKey;
use crs_keys::package::{self, Delivery};
use crs_types::rng::SeededRng;
use libfuzzer_sys::fuzz_target;
use support::{NOW, World, cose_sign1, world};

fn enrolment() -> PrivateKey {
    PrivateKey::from_seed(&[9; 32]).expect("a seed")
}

fn good(world: &World) -> &'static Delivery {
    static GOOD: OnceLock<Delivery> = OnceLock::new();
    GOOD.get_or_init(|| {
        let key = enrolment().public_key().expect("a key");
        let sealed = world.alice.seal(&key, &mut SeededRng::new(3)).expect("sealed");
        Delivery {
            v: 1,
            trust: world.trust.sign(&world.ca).into(),
            sealed: sealed.into(),
            kem_cert: world.alice.kem_cert.clone().into(),
            sign_cert: world.alice.sign_cert.as_ref().into(),
        }
    })
}

fuzz_target!(|bytes: &[u8]| {
    let world = world();
    let uri = &world.alice.identity.uri;
    let open = |bytes: &[u8]| package::open(bytes, &enrolment(), &world.trust, uri, NOW);
    assert!(open(bytes).is_err(), "nobody guesses a signature");
    let Some((choice, rest)) = bytes.split_first() else {
        assert!(open(&good(world).encode()).is_ok());
        return;
    };
    let (good, part) = (good(world).clone(), Bytes::from(rest));
    let ca = world.ca.key();
    let changed = match choice % 6 {
        0 => Delivery { trust: part, ..good },
        1 => Delivery { trust: cose_sign1(ca, "crs-trust-v1", rest).into(), ..good },
        2 => Delivery { sealed: part, ..good },
        3 => Delivery { kem_cert: part, ..good },
        4 => Delivery { kem_cert: cose_sign1(ca, "crs-kem-cert-v1", rest).into(), ..good },
        _ => Delivery { sign_cert: part, ..good },
    };
    // A list of the authority's own making may be anything; the keys stay this user's.
    if let Ok(opened) = open(&changed.encode()) {
        assert_eq!(opened.keys.identity, world.alice.identity);
    }
});
