//! Everything else in CBOR that comes from outside: bundles as text, encapsulation certificates,
//! key packages, message envelopes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = crs_keys::kem_cert::claimed(bytes);
    let _ = crs_keys::package::claimed(bytes);
    let _ = crs_keys::envelope::key_id(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = crs_keys::bundle::from_text(text);
    }
});
