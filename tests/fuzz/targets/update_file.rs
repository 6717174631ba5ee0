//! Update files: the container as it arrives, and the content inside it.
#![no_main]

use crs_keys::update;
use crs_types::{AccountId, Secret};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = update::open_inner(bytes);
    let account = AccountId::parse("police").expect("a valid id");
    let secret = Secret::new(vec![7; 32]);
    assert!(update::open(bytes, &secret, &account, update::Pin::FirstUse).is_err());
});
