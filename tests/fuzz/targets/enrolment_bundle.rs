//! Enrolment bundles: the outside as a file may have it, and the inside under a PIN that is known,
//! whole or with one part of a good one replaced.
#![no_main]

#[path = "../support.rs"]
mod support;

use std::sync::OnceLock;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use crs_keys::bundle::Bundle;
use libfuzzer_sys::fuzz_target;
use support::{NOW, World, array, bstr, map, tstr, uint, world};

const PIN: &str = "314159";
const SALT: [u8; 16] = [1; 16];
const NONCE: [u8; 12] = [2; 12];

/// The least cost that is accepted: deriving the key must not be what takes the time.
fn key() -> &'static LessSafeKey {
    static KEY: OnceLock<LessSafeKey> = OnceLock::new();
    KEY.get_or_init(|| {
        let params = Params::new(8, 1, 1, Some(32)).expect("parameters");
        let mut key = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(PIN.as_bytes(), &SALT, &mut key)
            .expect("a key");
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).expect("a key"))
    })
}

fn outer(sealed: &[u8]) -> Vec<u8> {
    map(&[
        ("v", uint(1)),
        ("kdf", tstr("argon2id")),
        ("salt", bstr(&SALT)),
        ("lanes", uint(1)),
        ("nonce", bstr(&NONCE)),
        ("memory", uint(8)),
        ("passes", uint(1)),
        ("sealed", bstr(sealed)),
    ])
}

fn sealed(plain: &[u8]) -> Vec<u8> {
    let mut buffer = plain.to_vec();
    let aad = Aad::from(outer(&[]));
    key()
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(NONCE), aad, &mut buffer)
        .expect("sealed");
    outer(&buffer)
}

/// What a bundle holds, in order.
fn parts(world: &World) -> [(&'static str, Vec<u8>); 9] {
    let user = &world.alice;
    let ca = world.ca.certificate().as_ref();
    [
        ("v", uint(1)),
        ("cas", array(&[bstr(ca)])),
        ("uri", tstr(user.identity.uri.as_str())),
        ("server", map(&[("pool-ca", bstr(ca))])),
        ("account", tstr("acme")),
        ("sign_key", bstr(user.sign_key.scalar().expose())),
        ("addresses", array(&[tstr("crs.example.org:5223")])),
        ("enrolment", bstr(&[9; 32])),
        ("sign_cert", bstr(user.sign_cert.as_ref())),
    ]
}

fuzz_target!(|bytes: &[u8]| {
    // A PIN that is too short is noticed before the key is derived, whatever that would cost.
    assert!(Bundle::open(bytes, "1", NOW).is_err());
    let open = |plain: &[u8]| Bundle::open(&sealed(plain), PIN, NOW);
    assert!(open(bytes).is_err(), "nobody guesses a certificate");
    let mut parts = parts(world());
    let Some((choice, rest)) = bytes.split_first() else {
        assert!(open(&map(&parts)).is_ok());
        return;
    };
    let at = usize::from(choice % 9);
    // A byte string, as most parts are, or any item.
    parts[at].1 = if choice & 0x80 == 0 { bstr(rest) } else { rest.to_vec() };
    if let Ok(bundle) = open(&map(&parts)) {
        assert_eq!(bundle.uri, world().alice.identity.uri);
    }
});
