//! Loopback tests of batches: what was sent is what is seen, in order, also when joined.

use std::time::Duration;

use super::*;
use crate::{Poller, SocketOptions};

const LOOPBACK: &str = "127.0.0.1:0";

fn socket(coalesce: bool) -> (Socket, SocketAddr) {
    let options = SocketOptions { reuse_port: false, coalesce };
    let socket = Socket::bind(LOOPBACK.parse().unwrap(), options).unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

fn shape(messages: usize, coalesce: bool) -> BatchShape {
    BatchShape { messages, locals: 1, coalesce }
}

/// Receives until `count` datagrams came, splitting joined ones.
fn receive(socket: &Socket, batch: &mut Batch, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut poller = Poller::new().unwrap();
    poller.add(socket).unwrap();
    let mut out = Vec::new();
    while out.len() < count {
        let ready = poller.wait(Some(Duration::from_secs(5))).unwrap();
        assert_ne!(ready.sockets, 0, "datagrams arrive on loopback");
        let got = batch.recv(socket).unwrap();
        for datagram in (0..got).filter_map(|index| batch.datagram(index)) {
            let parts = datagram.bytes.chunks(datagram.segment.max(1));
            out.extend(parts.map(|part| (datagram.from, part.to_vec())));
        }
    }
    out
}

#[test]
fn a_batch_is_received_and_forwarded_without_change() {
    let (client, client_addr) = socket(false);
    let (relay, relay_addr) = socket(false);
    let (sink, sink_addr) = socket(false);
    let mut out = Batch::new(shape(32, false));
    for index in 0..20u8 {
        assert!(out.push(&vec![index; 100 + usize::from(index)], 0, relay_addr, 7));
    }
    out.flush(0, &client, |_, _, _| panic!("loopback takes all"));
    let mut middle = Batch::new(shape(32, false));
    let mut forwarded = 0;
    while forwarded < 20 {
        let got = middle.recv(&relay).unwrap();
        for index in 0..got {
            let datagram = middle.datagram(index).unwrap();
            assert_eq!(datagram.from, client_addr);
            let length = datagram.bytes.len();
            middle.bytes_mut(index)[0] = 0xff;
            assert!(middle.forward(index, 0..length, 0, sink_addr, 1));
        }
        forwarded += got;
        middle.flush(0, &relay, |_, _, _| panic!("loopback takes all"));
    }
    let got = receive(&sink, &mut out, 20);
    for (index, (from, bytes)) in got.into_iter().enumerate() {
        assert_eq!(from, relay_addr);
        assert_eq!(bytes.len(), 100 + index);
        assert_eq!((bytes[0], bytes[1]), (0xff, index as u8));
    }
}

#[test]
fn neighbours_leave_joined_and_arrive_whole() {
    let (client, client_addr) = socket(false);
    let (relay, relay_addr) = socket(true);
    if !relay.coalesces() || !crate::kernel_segments(&relay) {
        return;
    }
    let mut batch = Batch::new(shape(8, true));
    // One message of 5 × 100 bytes, sent to ourselves to have it in the receive buffers.
    assert!(batch.push(&[9; 500], 0, client_addr, 0));
    batch.flush(0, &relay, |_, _, _| panic!("loopback takes all"));
    let mut own = Batch::new(shape(8, true));
    let mut poller = Poller::new().unwrap();
    poller.add(&client).unwrap();
    poller.wait(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(own.recv(&client).unwrap(), 1);
    for part in 0..5 {
        assert!(own.forward(0, part * 100..(part + 1) * 100, 0, relay_addr, 3));
    }
    own.flush(0, &client, |_, _, _| panic!("loopback takes all"));
    let got = receive(&relay, &mut batch, 5);
    assert!(got.iter().all(|(from, bytes)| *from == client_addr && bytes == &[9; 100]));
}

#[test]
fn one_send_is_cut_into_many_datagrams() {
    let (client, client_addr) = socket(false);
    let (sink, sink_addr) = socket(false);
    if !crate::kernel_segments(&client) {
        return;
    }
    let mut batch = Batch::new(shape(8, false));
    assert!(batch.push_segments(&[4; 450], 182, 0, sink_addr, 0));
    batch.flush(0, &client, |_, _, _| panic!("loopback takes all"));
    let lengths: Vec<usize> = receive(&sink, &mut batch, 3)
        .iter()
        .map(|(from, bytes)| {
            assert_eq!(*from, client_addr);
            bytes.len()
        })
        .collect();
    assert_eq!(lengths, [182, 182, 86]);
}

#[test]
fn refused_messages_are_told_and_the_rest_is_sent() {
    let (client, _) = socket(false);
    let (sink, sink_addr) = socket(false);
    let mut batch = Batch::new(shape(8, false));
    assert!(batch.push(b"one", 0, sink_addr, 1));
    assert!(batch.push(b"bad", 0, "[::1]:9".parse().unwrap(), 2));
    assert!(batch.push(b"two", 0, sink_addr, 3));
    let mut refused = Vec::new();
    batch.flush(0, &client, |tag, packets, bytes| refused.push((tag, packets, bytes)));
    assert_eq!(refused, [(2, 1, 3)]);
    let got = receive(&sink, &mut batch, 2);
    assert_eq!(got[1].1, b"two");
}

#[test]
fn limits_are_refused_not_exceeded() {
    let (_socket, addr) = socket(false);
    let mut batch = Batch::new(shape(2, false));
    assert!(!batch.push(&vec![0; OWN_ROOM + 1], 0, addr, 0), "more than the room for own packets");
    assert!(batch.push(b"a", 0, addr, 0));
    assert!(batch.push(b"b", 0, addr, 0));
    assert!(!batch.push(b"c", 0, addr, 0), "queue of two is full");
    assert!(!batch.forward(0, 0..1, 0, addr, 0), "nothing was received");
    assert!(!batch.push(b"d", 9, addr, 0), "no such socket");
}

#[test]
fn a_waker_ends_a_wait() {
    let poller = Poller::new().unwrap();
    let waker = poller.waker();
    waker.wake();
    let ready = poller.wait(None).unwrap();
    assert!(ready.woken && ready.sockets == 0);
    assert!(!poller.wait(Some(Duration::ZERO)).unwrap().woken, "a wake is told once");
}
