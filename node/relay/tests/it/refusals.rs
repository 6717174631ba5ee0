//! Groups MD-01…MD-04, MD-07, MD-08: what has not proved itself gets nothing through and nothing
//! back.

use std::net::UdpSocket;

use crs_proto::leg::LegCredentials;
use crs_proto::leg::client::{binding_request, transaction_id};
use crs_relay::{RelayEvent, TwoLegKind};
use crs_types::rng::SeededRng;
use crs_types::{OsRng, Rng};

use crate::support::{Client, Running, config, rtp};

/// MD-01, MD-02: 200 000 valid-looking packets from other sources, before the call is bound and
/// during it: none reaches a client, nothing comes back.
#[test]
fn spray_from_other_sources_reaches_nobody() {
    let mut running = Running::start(config(2));
    let attackers: Vec<Client> = (0..8)
        .map(|_| Client::new(running.address(), &LegCredentials::generate(&mut OsRng)))
        .collect();
    let spray = |running: &Running, count: u16| {
        let seen = running.counters().dropped_unknown;
        let mut sent = 0;
        // In steps that fit the socket buffer, so that every packet is really looked at.
        for step in 0..count / 500 {
            for sequence in 0..500 {
                let attacker = &attackers[usize::from(sequence) % attackers.len()];
                attacker.send(&rtp(step * 500 + sequence, 172));
                sent += 1;
            }
            running.until(|counters| counters.dropped_unknown == seen + sent);
        }
    };
    spray(&running, 10_000);
    let (_, a, b) = running.call(TwoLegKind::Rtp);
    for _ in 0..4 {
        spray(&running, 47_500);
        a.send(&rtp(1, 60));
        assert_eq!(b.receive(), rtp(1, 60));
    }
    assert!(a.pending().is_empty() && b.pending().is_empty());
    assert!(attackers.iter().all(|attacker| attacker.pending().is_empty()));
}

/// MD-04: a recorded Binding request from another address gets one check, no longer than itself,
/// which the attacker cannot answer; the leg stays.
#[test]
fn a_replayed_binding_does_not_move_the_leg() {
    let mut running = Running::start(config(2));
    let allocation = running.relay.allocate(TwoLegKind::Rtp).unwrap();
    let a = Client::new(running.address(), &allocation.legs[0].credentials);
    let (recorded, _) = a.request();
    a.answer(&a.receive());
    a.receive();
    let first = allocation.legs[0].id;
    running.event(|event| matches!(event, RelayEvent::Bound { leg, .. } if *leg == first));
    let b = running.bound(&allocation.legs[1]);
    let attacker = Client::new(running.address(), &LegCredentials::generate(&mut OsRng));
    for _ in 0..5 {
        attacker.send(&recorded);
    }
    running.until(|counters| counters.stun_accepted + counters.stun_refused >= 9);
    let got: usize = attacker.pending().iter().map(Vec::len).sum();
    assert!(got <= recorded.len() * 5, "no amplification: {got} bytes out");
    // The attacker sends the check back, and a made-up answer with the wrong password.
    attacker.send(&recorded);
    for _ in 0..20 {
        b.send(&rtp(9, 182));
        assert_eq!(a.receive(), rtp(9, 182));
    }
    assert!(attacker.pending().iter().all(|packet| packet[0] < 4), "STUN at most, no media");
    let info = running.relay.info(allocation.id).unwrap();
    assert_eq!(info.legs[0].address.map(|at| at.remote()), Some(a.address()));
}

/// MD-07: no credentials, credentials of a leg that has ended, another leg's: nothing is relayed.
#[test]
fn the_relay_is_no_open_proxy() {
    let mut running = Running::start(config(1));
    let (ended, a, b) = running.call(TwoLegKind::Rtp);
    assert!(running.relay.free(ended.id));
    running.nudge();
    a.send(&rtp(1, 100));
    running.until(|counters| counters.dropped_unknown == 1);
    a.request();
    let made_up = Client::new(running.address(), &LegCredentials::generate(&mut OsRng));
    made_up.request();
    running.until(|counters| counters.stun_refused == 2);
    assert!(a.pending().is_empty() && b.pending().is_empty() && made_up.pending().is_empty());
}

/// A live leg's user name with another password is refused without an answer.
#[test]
fn a_wrong_password_gets_no_answer() {
    let mut running = Running::start(config(1));
    let allocation = running.relay.allocate(TwoLegKind::Rtp).unwrap();
    let right = &allocation.legs[0].credentials;
    let other = &allocation.legs[1].credentials;
    let mixed = LegCredentials::parse(right.ufrag_text(), other.password_text()).unwrap();
    let client = Client::new(running.address(), &mixed);
    running.nudge();
    client.request();
    running.until(|counters| counters.stun_refused == 1);
    assert!(client.pending().is_empty());
}

/// MD-08: every kind of datagram without credentials, all lengths: bytes out over bytes in is 0.
#[test]
fn nothing_comes_back_for_what_does_not_authenticate() {
    let mut running = Running::start(config(1));
    let (_, a, b) = running.call(TwoLegKind::Rtp);
    let source = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sent = running.counters().sent;
    let received = running.counters().received;
    let mut rng = SeededRng::new(11);
    let mut count = 0;
    let mut bytes = vec![0; 65_000];
    rng.fill(&mut bytes);
    let lengths = (0..64).chain((64..1700).step_by(13)).chain([8_000, 65_000]);
    for length in lengths {
        for first in [0u8, 1, 3, 8, 20, 63, 64, 79, 128, 191, 192, 255] {
            let length: usize = length;
            if length > 0 {
                bytes[0] = first;
            }
            source.send_to(&bytes[..length], running.address()).unwrap();
            count += 1;
            if count % 64 == 0 {
                running.until(|counters| counters.received == received + count);
            }
        }
    }
    let bogus = LegCredentials::generate(&mut rng);
    for _ in 0..100 {
        let request = binding_request(&bogus, transaction_id(&mut rng));
        source.send_to(request.as_bytes(), running.address()).unwrap();
        count += 1;
    }
    running.until(|counters| counters.received == received + count);
    let counters = running.counters();
    assert_eq!(counters.sent, sent, "no answer to anything");
    assert!(counters.received_too_short > 0 && counters.received_too_long > 0);
    assert!(counters.dropped_foreign > 0 && counters.dropped_unknown > 0);
    a.send(&rtp(1, 50));
    assert_eq!(b.receive(), rtp(1, 50));
}

/// MD-03, MD-17 from a proved address: all lengths 0…65 507 and any bytes. Nothing panics, the call
/// lives, only what is a packet of 8…1500 bytes with a media first byte passes.
#[test]
fn malformed_packets_from_a_proved_address_do_no_harm() {
    let mut running = Running::start(config(1));
    let (_, a, b) = running.call(TwoLegKind::Rtp);
    let mut rng = SeededRng::new(5);
    let mut bytes = vec![0; 65_507];
    rng.fill(&mut bytes);
    let begin = running.counters().received;
    let lengths: Vec<usize> =
        (0..1600).chain((1600..65_507).step_by(997)).chain([65_507]).collect();
    for (sent, length) in lengths.iter().enumerate() {
        bytes[0] = (sent * 7) as u8;
        a.send(&bytes[..*length]);
        if sent % 32 == 31 {
            running.until(|counters| counters.received == begin + sent as u64 + 1);
        }
    }
    running.until(|counters| counters.received == begin + lengths.len() as u64);
    let passed = b.pending();
    assert!(passed.iter().all(|packet| (8..=1500).contains(&packet.len())));
    assert!(passed.iter().all(|packet| (128..192).contains(&packet[0])));
    a.send(&rtp(1, 50));
    assert_eq!(b.receive(), rtp(1, 50));
}

/// Two legs on one client address are refused: the second gets no answer.
#[test]
fn two_legs_on_one_address_are_refused() {
    let mut running = Running::start(config(2));
    let (_, a, b) = running.call(TwoLegKind::Rtp);
    let other = running.relay.allocate(TwoLegKind::Rtp).unwrap();
    let mut second = Client::new(running.address(), &other.legs[0].credentials);
    second.socket = a.socket.try_clone().unwrap();
    running.nudge();
    second.request();
    let leg_id = other.legs[0].id;
    running.event(|event| matches!(event, RelayEvent::AddressTaken { leg, .. } if *leg == leg_id));
    assert_eq!(running.counters().address_taken, 1);
    b.send(&rtp(4, 70));
    assert_eq!(a.receive(), rtp(4, 70), "the first leg keeps its address");
}

/// MD-13: names never repeat, every symbol is as likely as any other, and a million guesses hit
/// nothing.
#[test]
fn credentials_are_not_guessed() {
    let mut running = Running::start(config(1));
    let mut names = std::collections::BTreeSet::new();
    let mut counts = [0u32; 128];
    for round in 0..2_000 {
        let allocation = running.relay.allocate(TwoLegKind::Rtp).unwrap();
        for leg in &allocation.legs {
            let name = *leg.credentials.ufrag();
            name.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
            assert!(names.insert(name));
        }
        running.relay.free(allocation.id);
        if round % 100 == 0 {
            // Places in the command ring come back as the thread works.
            running.nudge();
        }
    }
    // Chi-square over 64 symbols: 63 degrees of freedom, far beyond any chance at 200.
    let used: Vec<f64> = counts.iter().filter(|n| **n > 0).map(|n| f64::from(*n)).collect();
    let expected = used.iter().sum::<f64>() / 64.0;
    let chi: f64 = used.iter().map(|n| (n - expected).powi(2) / expected).sum();
    assert!(used.len() == 64 && chi < 200.0, "{chi} over {} symbols", used.len());
    let mut rng = SeededRng::new(13);
    let hit = (0..1_000_000).any(|_| {
        let guess = LegCredentials::generate(&mut rng);
        names.contains(guess.ufrag())
    });
    assert!(!hit);
}
