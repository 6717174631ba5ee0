//! Lines on the admin socket, both directions.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = crs_admin_api::protocol::parse_request(bytes);
    let _ = crs_admin_api::protocol::parse_reply(bytes);
});
