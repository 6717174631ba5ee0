//! Forwarding allocates nothing. A binary of its own, because it counts the allocations of the
//! whole process: one test, nothing beside it.
#![allow(clippy::unwrap_used, reason = "a failed step of a test ends the test")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use crs_proto::leg::LegCredentials;
use crs_proto::leg::client::{answer_check, binding_request, transaction_id};
use crs_relay::{LegRate, Relay, RelayConfig, RelayEvent, TwoLegKind};
use crs_types::{ClientAddr, OsRng, SystemClock};

#[global_allocator]
static COUNTING: dhat::Alloc = dhat::Alloc;

const PACKETS: u64 = 100_000;

fn bind(leg: &LegCredentials, relay: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let request = binding_request(leg, transaction_id(&mut OsRng));
    socket.send_to(request.as_bytes(), relay).unwrap();
    let mut check = [0; 256];
    let length = socket.recv(&mut check).unwrap();
    let answer = answer_check(leg, &check[..length], ClientAddr::new(relay)).unwrap();
    socket.send_to(answer.as_bytes(), relay).unwrap();
    socket.recv(&mut check).unwrap();
    socket
}

#[test]
fn a_hundred_thousand_packets_allocate_nothing() {
    let mut config = RelayConfig::on(vec!["127.0.0.1:0".parse().unwrap()]);
    config.threads = 2;
    config.rate = LegRate { packets_per_second: 1 << 29, bytes_per_second: 1 << 31 };
    let mut relay = Relay::bind(config, Arc::new(SystemClock::new())).unwrap();
    relay.start(Arc::new(|| {})).unwrap();
    let address = relay.addresses()[0];
    let allocation = relay.allocate(TwoLegKind::Rtp).unwrap();
    let clients = allocation.legs.each_ref().map(|leg| bind(&leg.credentials, address));
    let mut events = Vec::new();
    let is_bound = |event: &RelayEvent| matches!(event, RelayEvent::Bound { .. });
    while events.iter().filter(|event| is_bound(event)).count() < 2 {
        relay.poll(&mut events);
        std::thread::yield_now();
    }

    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let packet = [0x80u8; 182];
    let mut received = [0; 256];
    let profiler = dhat::Profiler::builder().testing().build();
    let before = dhat::HeapStats::get().total_blocks;
    for round in 0..PACKETS / 50 {
        // Both ways, with packets of strangers between, in steps that fit the socket buffers.
        let (from, to) = (&clients[round as usize % 2], &clients[(round + 1) as usize % 2]);
        for _ in 0..50 {
            from.send_to(&packet, address).unwrap();
            stranger.send_to(&packet, address).unwrap();
        }
        for _ in 0..50 {
            assert_eq!(to.recv(&mut received).unwrap(), packet.len());
        }
    }
    let after = dhat::HeapStats::get().total_blocks;
    drop(profiler);
    assert_eq!(after - before, 0, "allocations while {PACKETS} packets were forwarded");
    assert_eq!(relay.counters().types[0].tx, PACKETS);
}
