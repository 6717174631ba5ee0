//! Connections that are opened and say nothing, too little, or little at a time (OV-06).

use std::io::{Read, Write};
use std::net::TcpStream;

use super::hello::client_hello;
use super::node::Node;

const CONNECTIONS: usize = 1_500;

#[test]
fn slow_connections_are_cut_and_hold_up_nobody() {
    let node = Node::start(8_192);
    let before = node.figures();
    let hello = client_hello();
    let mut held: Vec<TcpStream> = (0..CONNECTIONS).map(|_| node.connect()).collect();
    for (n, stream) in held.iter_mut().enumerate() {
        // A third is silent, a third stops in the first record, a third after the server's flight.
        let part = [0, hello.len() / 2, hello.len()][n % 3];
        stream.write_all(&hello[..part]).expect("the server reads");
    }
    node.attach();
    assert!(node.figures().files > before.files + CONNECTIONS / 2, "they are held");
    for stream in &mut held {
        read_to_end(stream);
    }
    node.is_as_before(before);
}

/// Whatever comes, it ends: by a close or a reset, not by our time-out.
fn read_to_end(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return,
            Err(error) => panic!("the server has not closed: {error}"),
        }
    }
}
