//! MD-11, MD-12 and the limits of docs/limits.md: reached, refused by name, and free again.

use std::time::Duration;

use crs_relay::config::{ADDRESSES_MAX, THREADS_MAX};
use crs_relay::{
    AllocateError, LEG_LIFETIME, LegRate, RelayConfig, RelayEvent, RelayType, TwoLegKind,
};
use crs_types::LegId;

use crate::support::{Client, Running, config, rtp};

#[test]
fn the_operators_limit_refuses_by_name_and_counts_per_type() {
    let mut with_limit = config(1);
    with_limit.limits.rtp = Some(3);
    let mut running = Running::start(with_limit);
    let ids: Vec<_> = (0..3).map(|_| running.relay.allocate(TwoLegKind::Rtp).unwrap().id).collect();
    let refused = running.relay.allocate(TwoLegKind::Rtp).unwrap_err();
    assert_eq!(refused, AllocateError::Limit { kind: RelayType::Rtp, limit: 3 });
    assert!(running.relay.allocate(TwoLegKind::Opaque).is_ok(), "another type has its own limit");
    assert!(running.relay.free(ids[0]));
    assert!(!running.relay.free(ids[0]), "freeing twice is no error and does nothing");
    assert!(running.relay.allocate(TwoLegKind::Rtp).is_ok());
}

/// Full tables refuse; after freeing all, all places are there again, many times over.
#[test]
fn full_tables_refuse_and_every_place_comes_back() {
    let mut running = Running::start(config(2));
    for _ in 0..20 {
        let mut ids = Vec::new();
        let refused = loop {
            match running.relay.allocate(TwoLegKind::Rtp) {
                Ok(made) => ids.push(made.id),
                Err(error) => break error,
            }
        };
        assert_eq!(refused, AllocateError::Full { capacity: 64 });
        assert_eq!(ids.len(), 32);
        ids.into_iter().for_each(|id| assert!(running.relay.free(id)));
        running.nudge();
    }
    let (_, a, b) = running.call(TwoLegKind::Rtp);
    a.send(&rtp(1, 50));
    assert_eq!(b.receive(), rtp(1, 50));
}

/// Binding requests of 10 000 clients that never answer the check, of one leg: no more than its
/// four places, and the real client still gets in.
#[test]
fn half_open_bindings_take_no_room() {
    let mut running = Running::start(config(1));
    let allocation = running.relay.allocate(TwoLegKind::Rtp).unwrap();
    running.nudge();
    for _ in 0..100 {
        let before = running.counters();
        let seen = before.stun_accepted + before.stun_refused;
        for _ in 0..100 {
            Client::new(running.address(), &allocation.legs[0].credentials).request();
        }
        running.until(|now| now.stun_accepted + now.stun_refused == seen + 100);
    }
    let counters = running.counters();
    assert!(counters.sent < 40, "checks are capped per leg: {} sent", counters.sent);
    running.advance(Duration::from_secs(6));
    running.bound(&allocation.legs[0]);
}

#[test]
fn an_unbound_leg_ends_unless_refreshed() {
    let mut running = Running::start(config(1));
    let kept = running.relay.allocate(TwoLegKind::Rtp).unwrap();
    let left = running.relay.allocate(TwoLegKind::Rtp).unwrap();
    running.clock.advance(LEG_LIFETIME / 2);
    assert!(kept.legs.iter().all(|leg| running.relay.refresh(leg.id)));
    running.clock.advance(LEG_LIFETIME / 2);
    let events = running.events_now();
    let expired = |leg: LegId| RelayEvent::Expired { allocation: left.id, leg };
    assert_eq!(events, [expired(left.legs[0].id), expired(left.legs[1].id)]);
    assert!(running.relay.info(left.id).is_none() && running.relay.info(kept.id).is_some());
    assert!(!running.relay.refresh(left.legs[0].id));
    running.nudge();
    let late = Client::new(running.address(), &left.legs[0].credentials);
    late.request();
    running.until(|counters| counters.stun_refused == 1);
    assert!(late.pending().is_empty());
}

#[test]
fn one_freed_leg_ends_the_sending_to_it_and_the_second_the_resource() {
    let mut running = Running::start(config(1));
    let (allocation, a, b) = running.call(TwoLegKind::Rtp);
    assert!(running.relay.free_leg(allocation.legs[0].id));
    assert!(!running.relay.free_leg(allocation.legs[0].id));
    running.nudge();
    b.send(&rtp(1, 50));
    running.until(|counters| counters.sent_no_dest == 1);
    assert!(a.pending().is_empty());
    assert!(running.relay.info(allocation.id).is_some());
    assert!(running.relay.free_leg(allocation.legs[1].id));
    assert!(running.relay.info(allocation.id).is_none());
}

/// The cap of a leg: a burst of a quarter second passes, the rest is dropped and counted.
#[test]
fn a_leg_over_its_rate_is_capped() {
    let mut slow = config(1);
    slow.rate = LegRate { packets_per_second: 400, bytes_per_second: 1_000_000 };
    let mut running = Running::start(slow);
    let (_, a, b) = running.call(TwoLegKind::Rtp);
    for sequence in 0..300 {
        a.send(&rtp(sequence, 100));
    }
    running.until(|counters| counters.types[0].rx == 300);
    assert_eq!(running.counters().dropped_rate, 200);
    assert_eq!(b.pending().len(), 100);
    running.advance(Duration::from_millis(10));
    (0..10).for_each(|sequence| a.send(&rtp(sequence, 100)));
    running.until(|counters| counters.types[0].rx == 310);
    assert_eq!(b.pending().len(), 4);
}

#[test]
fn configuration_that_cannot_work_is_refused_by_name() {
    let clock = std::sync::Arc::new(crate::support::TestClock::default());
    let mut none = config(1);
    none.addresses.clear();
    let error = crs_relay::Relay::bind(none, clock).unwrap_err();
    assert_eq!(error.to_string(), "relay addresses: expected 1 to 4, got 0");
}

/// Each bound of the configuration, just kept and just passed.
#[test]
fn every_bound_of_the_configuration_is_checked() {
    let address = || "127.0.0.1:0".parse().unwrap();
    type Change = fn(&mut RelayConfig, usize);
    let fields: [(&str, Change, usize, usize); 5] = [
        ("threads", |config, n| config.threads = n, 1, THREADS_MAX),
        ("max_legs", |config, n| config.max_legs = n, 2, 1 << 20),
        ("batch", |config, n| config.batch = n, 1, 1024),
        ("rate.packets_per_second", |c, n| c.rate.packets_per_second = n as u32, 1, 1 << 30),
        ("rate.bytes_per_second", |c, n| c.rate.bytes_per_second = n as u32, 1500, 1 << 31),
    ];
    for (field, change, min, max) in fields {
        for (value, fine) in [(min - 1, false), (min, true), (max, true), (max + 1, false)] {
            let mut config = RelayConfig::on(vec![address()]);
            change(&mut config, value);
            assert_eq!(config.check().is_ok(), fine, "{field} = {value}");
        }
    }
    let many = RelayConfig::on((0..=ADDRESSES_MAX).map(|_| address()).collect());
    assert_eq!(many.check().unwrap_err().to_string(), "relay addresses: expected 1 to 4, got 5");
}
