//! What goes in at one leg comes out at the other, unchanged, whatever threads the legs are on.

use crs_relay::{RelayEvent, RelayType, TwoLegKind};

use crate::support::{Running, config, rtp};

#[test]
fn rtp_passes_both_ways_unchanged_and_is_counted() {
    let mut running = Running::start(config(1));
    let (allocation, a, b) = running.call(TwoLegKind::Rtp);
    let before = running.counters();
    for sequence in 0..50 {
        let packet = rtp(sequence, 182);
        a.send(&packet);
        assert_eq!(b.receive(), packet);
        let back = rtp(sequence + 1000, 20);
        b.send(&back);
        assert_eq!(a.receive(), back);
    }
    let counters = running.counters();
    let row = counters.types[RelayType::Rtp.index()];
    assert_eq!((row.rx, row.rx_bytes), (100, 50 * 202));
    assert_eq!((row.tx, row.tx_bytes), (100, 50 * 202));
    assert_eq!(counters.received - before.received, 100);
    assert_eq!(counters.sent - before.sent, 100);
    assert_eq!(counters.sent_bytes - before.sent_bytes, 50 * 202);
    let info = running.relay.info(allocation.id).unwrap();
    let [of_a, of_b] = info.legs;
    assert_eq!((of_a.counters.rx, of_a.counters.forwarded), (50, 50));
    assert_eq!(of_b.counters.rx_bytes, 50 * 20);
    assert_eq!(of_a.address.map(|at| at.remote()), Some(a.address()));
    assert!(info.last_active.as_micros() > 0);
}

/// The kernel hashes senders to sockets: of 24 calls on two threads some have their legs on
/// different ones (all on one: 1 in 2^47).
#[test]
fn legs_on_different_threads_reach_each_other() {
    let mut running = Running::start(config(2));
    let mut owners = std::collections::BTreeSet::new();
    for round in 0..24u16 {
        let (allocation, a, b) = running.call(TwoLegKind::Rtp);
        let packet = rtp(round, 182);
        a.send(&packet);
        assert_eq!(b.receive(), packet);
        b.send(&packet);
        assert_eq!(a.receive(), packet);
        owners.insert(running.relay.owners(allocation.id).unwrap());
        assert!(running.relay.free(allocation.id));
    }
    let split = owners.iter().filter(|[a, b]| a != b).count();
    assert!(split > 0, "legs on different threads were tried: {owners:?}");
}

#[test]
fn opaque_frames_get_the_receivers_channel_number() {
    let mut running = Running::start(config(1));
    let (allocation, a, b) = running.call(TwoLegKind::Opaque);
    let [of_a, of_b] = allocation.legs.each_ref().map(|leg| leg.channel.unwrap());
    assert!((0x4000..=0x4fff).contains(&of_a) && (0x4000..=0x4fff).contains(&of_b));
    let frame = |channel: u16, data: &[u8]| {
        let mut bytes = channel.to_be_bytes().to_vec();
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(data);
        bytes
    };
    a.send(&frame(of_a, b"\x16\xfe\xfdhandshake"));
    assert_eq!(b.receive(), frame(of_b, b"\x16\xfe\xfdhandshake"));
    // Padding after the data is cut off (RFC 8656 section 12.4).
    let mut padded = frame(of_b, b"12345");
    padded.extend([0; 3]);
    b.send(&padded);
    assert_eq!(a.receive(), frame(of_a, b"12345"));
    // A wrong channel, a length beyond the datagram, and bare RTP go nowhere.
    let dropped = running.counters().dropped_foreign;
    a.send(&frame(of_a ^ 1, b"other channel"));
    a.send(&[&of_a.to_be_bytes()[..], &[0xff, 0xff, 1, 2, 3, 4]].concat());
    a.send(&rtp(1, 100));
    running.until(|counters| counters.dropped_foreign == dropped + 3);
    a.send(&frame(of_a, b"last"));
    assert_eq!(b.receive(), frame(of_b, b"last"));
}

#[test]
fn rtp_legs_do_not_carry_channel_data() {
    let mut running = Running::start(config(1));
    let (_, a, b) = running.call(TwoLegKind::Rtp);
    a.send(&[0x40, 0, 0, 4, 1, 2, 3, 4]);
    running.until(|counters| counters.dropped_foreign == 1);
    a.send(&rtp(7, 60));
    assert_eq!(b.receive(), rtp(7, 60));
}

#[test]
fn media_for_an_unbound_leg_is_counted_as_no_destination() {
    let mut running = Running::start(config(1));
    let allocation = running.relay.allocate(TwoLegKind::Rtp).unwrap();
    let a = running.bound(&allocation.legs[0]);
    a.send(&rtp(1, 182));
    running.until(|counters| counters.sent_no_dest == 1);
    assert_eq!(running.counters().types[0].tx, 0);
}

#[test]
fn ipv6_works_and_joined_sends_arrive_whole() {
    let mut config = config(1);
    config.addresses = vec!["[::1]:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap()];
    config.offload = true;
    let mut running = Running::start(config);
    let ports: Vec<u16> = running.relay.addresses().iter().map(|addr| addr.port()).collect();
    assert_eq!(ports[0], ports[1], "one media port on all addresses");
    let (_, a, b) = running.call(TwoLegKind::Rtp);
    for sequence in 0..200 {
        a.send(&rtp(sequence, 182));
    }
    for sequence in 0..200 {
        assert_eq!(b.receive(), rtp(sequence, 182));
    }
    // One leg on IPv6, the other on IPv4.
    let allocation = running.relay.allocate(TwoLegKind::Rtp).unwrap();
    let six = running.bound(&allocation.legs[0]);
    let four =
        crate::support::Client::new(running.relay.addresses()[1], &allocation.legs[1].credentials);
    four.bind();
    running.event(
        |event| matches!(event, RelayEvent::Bound { leg, .. } if *leg == allocation.legs[1].id),
    );
    four.send(&rtp(3, 99));
    assert_eq!(six.receive(), rtp(3, 99));
    six.send(&rtp(4, 98));
    assert_eq!(four.receive(), rtp(4, 98));
}
