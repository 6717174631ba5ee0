//! What several threads' planes do together.

use std::time::Duration;

use crs_proto::leg::LegCredentials;
use proptest::prelude::*;

use super::net::Net;
use super::*;
use crate::kind::TwoLegKind;
use crate::message::Command;

impl Net {
    /// A leg for RTP on all threads.
    fn add(&mut self, slot: u32, generation: u32) -> LegCredentials {
        self.add_as(slot, generation, TwoLegKind::Rtp, 0)
    }

    /// Where a media packet goes.
    fn media(&mut self, thread: usize, from: SocketAddr) -> Option<SocketAddr> {
        match self.planes[thread].media(self.now, from, &[0x80; 40]) {
            Verdict::Forward(forward) => Some(forward.to),
            Verdict::Drop | Verdict::Stun => None,
        }
    }
}

fn client(n: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 5000 + n))
}

#[test]
fn media_waits_for_the_home_thread_to_know() {
    let mut net = Net::new(2, 64);
    let (a, b) = (net.add(0, 1), net.add(1, 1));
    // Leg 1's home is thread 1; it binds on thread 0.
    assert!(net.bind(0, client(1), &b));
    assert!(net.bind(0, client(0), &a));
    assert_eq!(net.media(0, client(0)), None, "leg 1 is proved but not known yet");
    net.pump();
    assert_eq!(net.media(0, client(0)), Some(client(1)));
    assert_eq!(net.media(1, client(0)), Some(client(1)), "any thread sends to any leg");
}

/// Until then another leg may have proved the same address elsewhere.
#[test]
fn a_claimed_address_counts_once_the_home_thread_has_confirmed_it() {
    let mut net = Net::new(2, 64);
    let (a, b) = (net.add(0, 1), net.add(1, 1));
    // Leg 0's home is thread 0; it binds on thread 1, where leg 1 is at home.
    assert!(net.bind(1, client(1), &b));
    assert!(net.bind(1, client(0), &a));
    assert_eq!(net.media(1, client(0)), None, "leg 0 has claimed its address");
    assert_eq!(net.planes[1].cells.unknown.get(), 1);
    net.pump();
    assert_eq!(net.media(1, client(0)), Some(client(1)));
}

/// Control and peers do not take anything for a while: news is delayed, never lost.
#[test]
fn full_rings_delay_news_and_never_lose_it() {
    let mut net = Net::new(2, 1);
    let (a, _) = (net.add(0, 1), net.add(1, 1));
    for move_to in 0..20 {
        net.now += 10_000_000;
        assert!(net.bind(1, client(move_to), &a));
        net.pump();
    }
    assert!(net.planes[0].cells.ring_full.get() > 0, "the report ring of one place was full");
    let mut seen = None;
    for _ in 0..4 {
        while let Ok(report) = net.reports[0].pop() {
            seen = Some(report.what);
        }
        net.now += 1_000_000;
        net.planes[0].retry(net.now);
    }
    let Some(Reported::Bound { owner: 1, address }) = seen else { panic!("{seen:?}") };
    assert_eq!(address.remote(), client(19));
}

#[test]
fn messages_about_a_leg_that_is_gone_are_dropped() {
    let mut net = Net::new(2, 64);
    let old = net.add(0, 1);
    assert!(net.bind(1, client(1), &old));
    // The claim of the old leg is still on its way when the place is used again.
    for ring in &mut net.commands {
        ring.push(Command::Remove(LegKey { slot: 0, generation: 1 })).unwrap();
    }
    let plane = &mut net.planes[0];
    assert!(plane.commands(net.now));
    net.add(0, 2);
    net.pump();
    assert_eq!(net.planes[0].hot[0].address, None);
    assert_eq!(net.media(1, client(1)), None);
    assert!(!net.bind(1, client(2), &old), "the old credentials are gone");
}

#[test]
fn a_second_leg_on_an_address_is_refused_where_the_address_is() {
    let mut net = Net::new(2, 64);
    let (a, b) = (net.add(0, 1), net.add(1, 1));
    assert!(net.bind(0, client(1), &a));
    assert!(!net.bind(0, client(1), &b));
    net.pump();
    assert!(net.bind(0, client(1), &a), "the first keeps it");
}

#[test]
fn forged_sources_get_nothing() {
    let mut net = Net::new(1, 64);
    let a = net.add(0, 1);
    for text in ["0.0.0.0:9", "255.255.255.255:9", "224.0.0.1:9", "10.1.1.1:0"] {
        assert!(!net.bind(0, text.parse().unwrap(), &a), "{text}");
    }
}

#[test]
fn lost_consent_reaches_all_threads() {
    let mut net = Net::new(3, 64);
    let (a, b) = (net.add(0, 1), net.add(1, 1));
    assert!(net.bind(2, client(0), &a) && net.bind(1, client(1), &b));
    net.pump();
    assert_eq!(net.media(0, client(1)), Some(client(0)));
    let later = net.now + Duration::from_secs(31).as_micros() as u64;
    while net.now < later {
        net.now += 100_000;
        while net.planes[2].tick(net.now).is_some() {}
    }
    net.pump();
    assert_eq!(net.media(0, client(1)), None);
    assert_eq!(net.media(2, client(0)), None, "the silent client's address is no leg's any more");
}

proptest! {
    /// Any bindings, moves, removals and deliveries in any order over three threads: when all is
    /// quiet, every thread has the same address for every leg, no two legs have the same, and
    /// nothing is forwarded to an address that is not a leg's.
    #[test]
    fn all_threads_agree_when_quiet(
        steps in prop::collection::vec((0u8..5, 0u32..4, 0u16..6, 0usize..3), 0..120),
    ) {
        let mut net = Net::new(3, 4);
        let mut legs: Vec<LegCredentials> = (0..4).map(|slot| net.add(slot, 1)).collect();
        let mut generations = [1u32; 4];
        for (what, slot, address, thread) in steps {
            net.now += 1_000_000;
            let credentials = legs[slot as usize].clone();
            match what {
                // An address always arrives at one thread, as the kernel's hash has it.
                0..=2 => {
                    net.bind(usize::from(address) % 3, client(address), &credentials);
                }
                3 => {
                    let plane = &mut net.planes[thread];
                    plane.commands(net.now);
                    plane.peers();
                }
                _ => {
                    let generation = generations[slot as usize];
                    for ring in &mut net.commands {
                        ring.push(Command::Remove(LegKey { slot, generation })).unwrap();
                    }
                    generations[slot as usize] += 1;
                    legs[slot as usize] = net.add(slot, generation + 1);
                }
            }
        }
        for _ in 0..3 {
            net.pump();
            net.now += 1_000_000;
            let now = net.now;
            net.planes.iter_mut().for_each(|plane| plane.retry(now));
        }
        net.pump();
        let addresses = |plane: &Plane| -> Vec<Option<LegAddress>> {
            plane.hot[..4].iter().map(|leg| leg.address).collect()
        };
        let first = addresses(&net.planes[0]);
        for plane in &net.planes {
            prop_assert_eq!(&addresses(plane), &first);
        }
        for (slot, address) in first.iter().enumerate() {
            let same = first.iter().filter(|other| address.is_some() && *other == address).count();
            prop_assert!(same <= 1, "two legs have {:?}", address);
            let Some(address) = address else { continue };
            let thread = usize::from(address.remote().port() - 5000) % 3;
            let peer = first[slot ^ 1].map(LegAddress::remote);
            prop_assert_eq!(net.media(thread, address.remote()), peer);
        }
    }
}
