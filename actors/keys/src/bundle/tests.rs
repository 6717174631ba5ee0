//! Tests of enrolment bundles.

use crs_types::rng::SeededRng;
use proptest::prelude::*;

use super::*;
use crate::cbor::tests::assert_deterministic;
use crate::fixture::{NOW, domain, uri};

const PIN: &str = "1234-5678-9012";

fn bundle() -> Bundle {
    let mut acme = domain("acme", 1);
    let keys = acme.keys("+46701234567", "2026-11");
    let pool = crate::pool_ca::PoolCa::generate(&mut acme.rng, NOW).unwrap();
    Bundle {
        uri: uri("+46701234567"),
        trust: acme.trust.clone(),
        addresses: vec!["crs1.example.org:5223".into(), "crs2.example.org:5223".into()],
        server: ServerTrust::PoolCa(pool.certificate().as_ref().into()),
        enrolment_key: kem::PrivateKey::generate(&mut acme.rng),
        sign_key: keys.sign_key,
        sign_cert: keys.sign_cert,
    }
}

fn sealed() -> Vec<u8> {
    sealed_of(&bundle())
}

/// Signatures take their own randomness, so a bundle made twice differs: tests that compare keep one.
fn sealed_of(bundle: &Bundle) -> Vec<u8> {
    bundle.seal(PIN, KdfCost::LEAST, &mut SeededRng::new(4)).unwrap()
}

#[test]
fn a_bundle_opens_with_its_pin_however_it_is_spaced() {
    let bundle = bundle();
    for pin in [PIN, "123456789012", "1234 5678 9012"] {
        let opened = Bundle::open(&sealed_of(&bundle), pin, NOW).unwrap();
        assert_eq!(opened.uri, bundle.uri);
        assert_eq!(opened.trust, bundle.trust);
        assert_eq!(opened.server, bundle.server);
        assert_eq!(opened.addresses, bundle.addresses);
        assert_eq!(opened.sign_key, bundle.sign_key);
        assert_eq!(opened.enrolment_key.seed(), bundle.enrolment_key.seed());
        assert_eq!(opened.identity().unwrap().generation, crs_types::Generation(1));
    }
    assert_deterministic(&sealed());
    assert!(matches!(Bundle::open(&sealed(), "123456789013", NOW), Err(BundleError::WrongPin)));
    assert!(matches!(Bundle::open(&sealed(), "12345", NOW), Err(BundleError::PinTooShort)));
}

#[test]
fn it_fits_a_qr_code() {
    let sealed = sealed();
    let text = to_text(&sealed);
    // Version 40 with the lowest error correction holds 4296 alphanumeric characters.
    assert!(text.len() < 2600, "{} characters", text.len());
    assert_eq!(from_text(&text).unwrap(), sealed);
    assert!(matches!(from_text("CRS2:00"), Err(BundleError::Text)));
    assert!(matches!(from_text("CRS1:lower"), Err(BundleError::Text)));
}

#[test]
fn every_changed_byte_is_noticed() {
    let sealed = sealed();
    for index in (0..sealed.len()).step_by(5) {
        let mut changed = sealed.clone();
        changed[index] ^= 1;
        assert!(Bundle::open(&changed, PIN, NOW).is_err(), "byte {index}");
    }
}

#[test]
fn unreasonable_costs_are_refused_before_they_are_paid() {
    let mut outer: Outer = cbor::decode(&sealed()).unwrap();
    outer.memory = u32::MAX;
    let result = Bundle::open(&cbor::encode(&outer), PIN, NOW);
    assert!(matches!(result, Err(BundleError::Kdf(_))));
    let mut outer: Outer = cbor::decode(&sealed()).unwrap();
    outer.passes = 1000;
    let result = Bundle::open(&cbor::encode(&outer), PIN, NOW);
    assert!(matches!(result, Err(BundleError::Kdf(_))));
    for (lanes, memory) in [(5, 64 * 1024), (0, 64 * 1024), (4, 31)] {
        let mut outer: Outer = cbor::decode(&sealed()).unwrap();
        (outer.lanes, outer.memory) = (lanes, memory);
        let result = Bundle::open(&cbor::encode(&outer), PIN, NOW);
        assert!(matches!(result, Err(BundleError::Kdf(_))), "{lanes} lanes, {memory} KiB");
    }
    assert!(matches!(
        Bundle::open(&vec![0; BUNDLE_MAX + 1], PIN, NOW),
        Err(BundleError::TooLarge(_))
    ));
}

#[test]
fn parts_of_two_users_are_refused() {
    let mut mixed = bundle();
    mixed.uri = uri("+46709999999");
    let sealed = mixed.seal(PIN, KdfCost::LEAST, &mut SeededRng::new(4)).unwrap();
    assert!(matches!(Bundle::open(&sealed, PIN, NOW), Err(BundleError::Content(_))));
    let mut mixed = bundle();
    mixed.sign_key = SigningKey::generate(&mut SeededRng::new(66));
    let sealed = mixed.seal(PIN, KdfCost::LEAST, &mut SeededRng::new(4)).unwrap();
    assert!(matches!(Bundle::open(&sealed, PIN, NOW), Err(BundleError::Content(_))));
}

#[test]
fn a_bundle_names_one_to_sixteen_addresses() {
    let with = |count: usize| {
        let mut bundle = bundle();
        bundle.addresses = vec!["crs1.example.org:5223".into(); count];
        Bundle::open(&sealed_of(&bundle), PIN, NOW)
    };
    assert!(with(1).is_ok() && with(ADDRESSES_MAX).is_ok());
    assert!(matches!(with(0), Err(BundleError::Content(_))));
    assert!(matches!(with(ADDRESSES_MAX + 1), Err(BundleError::Content(_))));
}

#[test]
fn generated_pins_are_twelve_digits_in_groups() {
    let pin = generate_pin(&mut SeededRng::new(8));
    assert_eq!(pin.len(), 14);
    assert!(pin.split('-').all(|group| group.len() == 4));
    assert!(pin.chars().all(|c| c.is_ascii_digit() || c == '-'));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,60}") {
        prop_assert!(Bundle::open(&bytes, PIN, NOW).is_err());
        let _ = from_text(&text);
    }
}
