//! The HTTP request that asks for a WebSocket, whole and cut: one answer, whatever follows.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    crs_actors::listener::fuzz_upgrade(bytes, usize::from(cut));
    // Behind a good beginning, so that the headers are reached.
    let good = b"GET /crs/v1 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: crs.v1\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    crs_actors::listener::fuzz_upgrade(&[good, bytes, b"\r\n\r\n"].concat(), usize::from(cut));
});
