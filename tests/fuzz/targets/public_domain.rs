//! The file by which another organisation says who it is.
#![no_main]

use crs_cms::share::PublicDomain;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(domain) = PublicDomain::parse(bytes) {
        let again = PublicDomain::parse(domain.to_json().as_bytes()).expect("our own writing");
        assert_eq!((&again, again.fingerprint()), (&domain, domain.fingerprint()));
    }
});
