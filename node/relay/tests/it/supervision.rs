//! Stop and start again: sockets and legs stay.

use crs_relay::TwoLegKind;

use crate::support::{Running, config, rtp};

#[test]
fn a_restart_keeps_sockets_and_bound_legs() {
    let mut running = Running::start(config(2));
    let (allocation, a, b) = running.call(TwoLegKind::Rtp);
    let address = running.address();
    running.relay.restart().unwrap();
    assert_eq!(running.relay.threads_alive(), 2);
    assert_eq!(running.address(), address);
    a.send(&rtp(1, 100));
    assert_eq!(b.receive(), rtp(1, 100));
    b.send(&rtp(2, 100));
    assert_eq!(a.receive(), rtp(2, 100));
    // The client's next request proves the address again.
    a.bind();
    running.event(|event| matches!(event, crs_relay::RelayEvent::Bound { .. }));
    assert!(running.relay.free(allocation.id));
}

#[test]
fn a_stopped_relay_forwards_nothing_and_allocates_nothing() {
    let mut running = Running::start(config(1));
    running.relay.stop();
    let refused = running.relay.allocate(TwoLegKind::Rtp).unwrap_err();
    assert_eq!(refused, crs_relay::AllocateError::NotStarted);
}
