//! A TLS 1.3 ClientHello (RFC 8446 §4.1.2) that a server answers with its whole flight.

/// One record with random-looking but fixed content: X25519, ECDSA P-256.
pub(super) fn client_hello() -> Vec<u8> {
    let extensions = [
        extension(43, &[2, 3, 4]),
        extension(10, &prefixed(&[0, 0x1d])),
        extension(13, &prefixed(&[4, 3])),
        extension(51, &prefixed(&[&[0, 0x1d][..], &prefixed(&[9; 32])].concat())),
        extension(16, &prefixed(b"\x08http/1.1")),
    ]
    .concat();
    let body = [
        &[3, 3][..],
        &[7; 32],
        &[0],
        &prefixed(&[0x13, 1, 0x13, 2]),
        &[1, 0],
        &prefixed(&extensions),
    ]
    .concat();
    let handshake = [&[1, 0][..], &prefixed(&body)].concat();
    [&[22, 3, 1][..], &prefixed(&handshake)].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &prefixed(content)].concat()
}

/// Content behind its length in two bytes.
fn prefixed(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a short vector").to_be_bytes();
    [&length[..], content].concat()
}
