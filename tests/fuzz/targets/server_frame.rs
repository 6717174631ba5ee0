//! Frames of the server, as a client parses them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = crs_proto::codec::parse_server_frame(text);
});
