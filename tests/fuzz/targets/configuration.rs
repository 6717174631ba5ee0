//! Configuration files of any content: problems, never a panic.
#![no_main]

use crs_node::config::{Source, SourceKind, Sources, Strictness, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let kinds = [SourceKind::Pool, SourceKind::Local, SourceKind::Relay];
    let source = |kind| Source { kind, name: "fuzz.conf".to_owned(), bytes: bytes.to_vec() };
    let sources = Sources::new(kinds.map(source).to_vec());
    let _ = parse(&sources, Strictness::Strict);
    let _ = parse(&sources, Strictness::Lenient);
});
