//! Frames of clients (`crs.v1` requests): never a panic; what parses encodes and parses again.
#![no_main]

use crs_proto::codec::{encode_request, parse_request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(request) = parse_request(text) {
        let again = encode_request(request.id, &request.op);
        let parsed = parse_request(&again).expect("what we encode, we parse");
        assert_eq!(parsed.op, request.op);
    }
});
