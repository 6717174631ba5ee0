//! The relay's data plane on several threads: datagrams of any content between bindings, moves,
//! removals and news that has not arrived yet.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| crs_relay::fuzz_plane(bytes));
