//! Blacklist files as somebody may have edited them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| crs_actors::admin::fuzz_blacklist(bytes));
