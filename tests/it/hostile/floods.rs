//! Floods of handshakes that lead nowhere, garbage, and connections that go at once (OV-07).

use std::io::{Read, Write};

use super::hello::client_hello;
use super::node::Node;

#[test]
fn hellos_garbage_and_storms_leave_nothing_behind() {
    let node = Node::start(8_192);
    let before = node.figures();
    hellos(&node);
    garbage(&node);
    for _ in 0..3_000 {
        drop(node.connect());
    }
    node.attach();
    node.is_as_before(before);
}

/// Each makes the server compute, and none is finished.
fn hellos(node: &Node) {
    let hello = client_hello();
    for _ in 0..5 {
        let mut held: Vec<_> = (0..100).map(|_| node.connect()).collect();
        for stream in &mut held {
            stream.write_all(&hello).expect("the server reads");
        }
        node.attach();
        let mut first = [0; 5];
        held[0].read_exact(&mut first).expect("the server answers");
        assert_eq!(first[0], 22, "a handshake record, not {first:?}");
    }
}

/// Answered by an alert or a close, at once.
fn garbage(node: &Node) {
    let starts: [&[u8]; 6] = [
        b"GET /crs/v1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x80\x80\x01\x03\x01\0\0\0",
        b"\x16\x03\x01\xff\xff\x01\xff\xff\xff",
        b"\x17\x03\x03\0\x05hello",
        b"\x15\x03\x03\0\x02\x02\x28",
        &[0xff; 64],
    ];
    for start in starts.iter().cycle().take(600) {
        let mut stream = node.connect();
        stream.write_all(start).expect("the server reads");
        let mut answer = Vec::new();
        // A reset is an end as well.
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer[0] == 21, "an alert, not {answer:?}");
    }
}
