//! MD-05: a client that really moves keeps its call; consent that ends, ends the sending.

use std::time::Duration;

use crs_relay::{RelayEvent, TwoLegKind};

use crate::support::{Running, config, rtp};

/// Many moves, so that new addresses are on the same and on other threads.
#[test]
fn a_client_that_moves_is_followed_and_the_old_address_gets_nothing() {
    let mut running = Running::start(config(2));
    let (allocation, mut a, b) = running.call(TwoLegKind::Rtp);
    for round in 0..12u16 {
        let moved = running.bound(&allocation.legs[0]);
        b.send(&rtp(round, 182));
        assert_eq!(moved.receive(), rtp(round, 182));
        moved.send(&rtp(round + 100, 182));
        assert_eq!(b.receive(), rtp(round + 100, 182));
        let unknown = running.counters().dropped_unknown;
        a.send(&rtp(1, 182));
        running.until(|counters| counters.dropped_unknown == unknown + 1);
        assert!(a.pending().is_empty(), "nothing goes to the old address");
        a = moved;
    }
}

/// A client may come back to an address it had before.
#[test]
fn a_client_may_move_back() {
    let mut running = Running::start(config(2));
    let (allocation, a, b) = running.call(TwoLegKind::Rtp);
    for round in 0..6u16 {
        // When the kernel gives every address to one thread, its limit of checks at once would be met.
        running.advance(Duration::from_millis(250));
        let moved = running.bound(&allocation.legs[0]);
        moved.send(&rtp(round, 99));
        assert_eq!(b.receive(), rtp(round, 99));
        a.pending();
        a.bind();
        running.event(|event| matches!(event, RelayEvent::Bound { .. }));
        running.nudge();
        b.send(&rtp(round, 98));
        assert_eq!(a.receive(), rtp(round, 98));
    }
}

/// RFC 7675: checks while the client answers, silence 30 s after its last answer; then it may bind
/// again.
#[test]
fn consent_ends_thirty_seconds_after_the_last_answer() {
    let mut running = Running::start(config(1));
    let (allocation, a, b) = running.call(TwoLegKind::Rtp);
    // Both answer one round of checks.
    running.advance(Duration::from_millis(6_100));
    a.answer(&a.receive());
    b.answer(&b.receive());
    running.nudge();
    // Then only b answers.
    for _ in 0..5 {
        running.advance(Duration::from_millis(6_100));
        b.answer(&b.receive());
        running.nudge();
    }
    let id = allocation.legs[0].id;
    running.event(|event| matches!(event, RelayEvent::ConsentLost { leg, .. } if *leg == id));
    assert_eq!(a.pending().iter().filter(|packet| packet[0] < 4).count(), 4);
    b.send(&rtp(1, 50));
    running.until(|counters| counters.sent_no_dest == 1);
    assert!(a.pending().is_empty());
    a.bind();
    running.event(|event| matches!(event, RelayEvent::Bound { leg, .. } if *leg == id));
    b.send(&rtp(2, 50));
    assert_eq!(a.receive(), rtp(2, 50));
}
