//! Tests of the outbox: exact effects, and a property over random faults.

use std::collections::VecDeque;

use crs_types::Timestamp;
use proptest::prelude::*;

use super::*;

const NOW: Mono = Mono::from_micros(1_000_000);

fn mid(n: u64) -> MessageId {
    MessageId::from_parts(Timestamp::from_secs(1_800_000_000 + n), [n as u8; 10])
}

fn to(n: u64) -> Uri {
    Uri::parse(&format!("+4670000{n:03}")).unwrap()
}

fn body(n: u64) -> Vec<u8> {
    vec![0xee, n as u8]
}

fn error(code: ErrorCode, retry_ms: Option<u64>) -> ErrorBody {
    ErrorBody { code, text: "text".to_owned(), retry_ms, reason: None }
}

/// An outbox with sealed and synced messages 1…n for one receiver, attached; effects discarded.
fn ready(count: u64) -> (Outbox, Vec<Effect>) {
    let records = (1..=count).map(|n| Record::Sealed { mid: mid(n), to: to(1), body: body(n) });
    let mut outbox = Outbox::restore(records.collect());
    let effects = outbox.handle(Input::Attached, NOW);
    (outbox, effects)
}

fn posts(effects: &[Effect]) -> Vec<MessageId> {
    let post = |e: &Effect| match e {
        Effect::Post(mid, ..) => Some(*mid),
        Effect::Store(..)
        | Effect::Accepted(_)
        | Effect::NotAccepted(_)
        | Effect::Seal(..)
        | Effect::Failed(..)
        | Effect::Reconnect
        | Effect::WakeAt(_) => None,
    };
    effects.iter().filter_map(post).collect()
}

#[test]
fn a_message_is_stored_sealed_stored_and_only_then_posted() {
    let mut outbox = Outbox::default();
    outbox.handle(Input::Attached, NOW);
    let accepted = Record::Accepted { mid: mid(1), to: to(1), plain: vec![1] };
    assert_eq!(
        outbox.handle(Input::Accept(mid(1), to(1), vec![1]), NOW),
        [Effect::Store(1, vec![accepted]), Effect::Seal(mid(1), to(1), vec![1])]
    );
    assert_eq!(outbox.handle(Input::Stored(1), NOW), [Effect::Accepted(mid(1))]);
    let sealed = Record::Sealed { mid: mid(1), to: to(1), body: body(1) };
    assert_eq!(
        outbox.handle(Input::Sealed(mid(1), body(1)), NOW),
        [Effect::Store(2, vec![sealed])]
    );
    assert_eq!(outbox.handle(Input::Stored(2), NOW), [Effect::Post(mid(1), to(1), body(1))]);
    let finished = Record::Finished { mid: mid(1) };
    assert_eq!(outbox.handle(Input::Confirmed(mid(1)), NOW), [Effect::Store(3, vec![finished])]);
    assert!(outbox.is_empty());
}

#[test]
fn after_a_loss_the_same_bytes_are_posted_in_the_same_order() {
    let (mut outbox, first) = ready(3);
    assert_eq!(posts(&first), [mid(1), mid(2), mid(3)]);
    outbox.handle(Input::Confirmed(mid(1)), NOW);
    assert_eq!(outbox.handle(Input::Disconnected, NOW), []);
    assert_eq!(
        outbox.handle(Input::Attached, NOW),
        [Effect::Post(mid(2), to(1), body(2)), Effect::Post(mid(3), to(1), body(3))]
    );
}

#[test]
fn what_is_under_way_is_not_posted_again() {
    let (mut outbox, first) = ready(2);
    assert_eq!(posts(&first), [mid(1), mid(2)]);
    assert_eq!(outbox.handle(Input::Tick, NOW), []);
    assert_eq!(posts(&outbox.handle(Input::Accept(mid(9), to(2), vec![9]), NOW)), []);
    assert_eq!(posts(&outbox.handle(Input::Confirmed(mid(1)), NOW)), []);
}

#[test]
fn after_a_failure_the_lane_waits_and_repeats_from_the_failed_one() {
    let (mut outbox, _) = ready(3);
    let later = NOW.plus(Duration::from_millis(700));
    let unavailable = error(ErrorCode::Unavailable, Some(700));
    assert_eq!(outbox.handle(Input::Refused(mid(1), unavailable), NOW), []);
    let broken = || error(ErrorCode::OrderBroken, None);
    assert_eq!(outbox.handle(Input::Refused(mid(2), broken()), NOW), []);
    assert_eq!(outbox.handle(Input::Refused(mid(3), broken()), NOW), [Effect::WakeAt(later)]);
    let effects = outbox.handle(Input::Tick, later);
    assert_eq!(posts(&effects), [mid(1), mid(2), mid(3)]);
}

#[test]
fn other_receivers_go_on_while_one_waits() {
    let (mut outbox, _) = ready(1);
    outbox.handle(Input::Refused(mid(1), error(ErrorCode::RateLimited, Some(60_000))), NOW);
    outbox.handle(Input::Accept(mid(9), to(2), vec![9]), NOW);
    let stored = outbox.handle(Input::Sealed(mid(9), body(9)), NOW);
    assert!(matches!(stored.as_slice(), [Effect::Store(2, _), Effect::WakeAt(_)]));
    assert_eq!(posts(&outbox.handle(Input::Stored(2), NOW)), [mid(9)]);
}

#[test]
fn a_final_refusal_is_told_and_the_rest_goes_on() {
    let (mut outbox, _) = ready(2);
    let effects = outbox.handle(Input::Refused(mid(1), error(ErrorCode::Quota, None)), NOW);
    assert!(effects.contains(&Effect::Failed(mid(1), "quota".to_owned(), "text".to_owned())));
    assert!(outbox.handle(Input::Confirmed(mid(2)), NOW).len() == 1);
    assert!(outbox.is_empty());
}

#[test]
fn a_lane_that_is_told_again_and_again_that_order_is_broken_reconnects() {
    let (mut outbox, _) = ready(1);
    let broken = || error(ErrorCode::OrderBroken, None);
    for _ in 1..STRIKES {
        let effects = outbox.handle(Input::Refused(mid(1), broken()), NOW);
        assert_eq!(posts(&effects), [mid(1)]);
    }
    let effects = outbox.handle(Input::Refused(mid(1), broken()), NOW);
    assert!(effects.contains(&Effect::Reconnect));
}

#[test]
fn windows_hold() {
    let (_, effects) = ready(LANE_WINDOW as u64 + 3);
    assert_eq!(posts(&effects).len(), LANE_WINDOW);
    let records = (0..40).map(|n| Record::Sealed { mid: mid(n), to: to(n), body: body(n) });
    let mut outbox = Outbox::restore(records.collect());
    assert_eq!(posts(&outbox.handle(Input::Attached, NOW)).len(), WINDOW);
}

#[test]
fn a_full_outbox_refuses() {
    let records = (0..ENTRIES_MAX as u64).map(|n| Record::Sealed {
        mid: MessageId::from_parts(Timestamp::from_secs(n), [0; 10]),
        to: to(1),
        body: Vec::new(),
    });
    let mut outbox = Outbox::restore(records.collect());
    let one_more = Input::Accept(mid(1), to(1), vec![1]);
    assert_eq!(outbox.handle(one_more, NOW), [Effect::NotAccepted(mid(1))]);
    assert_eq!(outbox.len(), ENTRIES_MAX);
}

#[test]
fn what_could_not_be_written_is_not_taken() {
    let mut outbox = Outbox::default();
    outbox.handle(Input::Accept(mid(1), to(1), vec![1]), NOW);
    assert_eq!(outbox.handle(Input::StoreFailed(1), NOW), [Effect::NotAccepted(mid(1))]);
    assert!(outbox.is_empty());
}

#[test]
fn an_envelope_that_could_not_be_written_is_written_again_and_not_sealed_anew() {
    let mut outbox = Outbox::default();
    outbox.handle(Input::Attached, NOW);
    outbox.handle(Input::Accept(mid(1), to(1), vec![1]), NOW);
    outbox.handle(Input::Sealed(mid(1), body(1)), NOW);
    let effects = outbox.handle(Input::StoreFailed(2), NOW);
    let sealed = Record::Sealed { mid: mid(1), to: to(1), body: body(1) };
    assert_eq!(effects[0], Effect::Store(3, vec![sealed]));
    let later = NOW.plus(RETRY);
    assert_eq!(posts(&outbox.handle(Input::Stored(3), NOW)), []);
    assert_eq!(posts(&outbox.handle(Input::Tick, later)), [mid(1)]);
}

#[test]
fn nothing_overtakes_an_envelope_that_is_not_on_disk_yet() {
    let mut outbox = Outbox::default();
    outbox.handle(Input::Attached, NOW);
    for n in [1, 2] {
        outbox.handle(Input::Accept(mid(n), to(1), vec![1]), NOW);
    }
    outbox.handle(Input::Stored(2), NOW);
    for n in [1, 2] {
        outbox.handle(Input::Sealed(mid(n), body(n)), NOW);
    }
    // The first is written again, under a later token than the second.
    outbox.handle(Input::StoreFailed(3), NOW);
    assert_eq!(posts(&outbox.handle(Input::Stored(4), NOW)), []);
    let later = NOW.plus(RETRY);
    assert_eq!(posts(&outbox.handle(Input::Tick, later)), []);
    assert_eq!(posts(&outbox.handle(Input::Stored(5), later)), [mid(1), mid(2)]);
}

/// A server that may refuse, a connection and a process that may be lost at any point.
#[derive(Default)]
struct World {
    stored: Vec<(MessageId, Vec<u8>)>,
    disk: Vec<Record>,
    outbox: Outbox,
    queue: VecDeque<Effect>,
    broken: Option<MessageId>,
    sealings: u8,
    connected: bool,
}

impl World {
    fn input(&mut self, input: Input) {
        let effects = self.outbox.handle(input, NOW);
        self.queue.extend(effects);
    }

    fn connect(&mut self) {
        if !self.connected {
            self.connected = true;
            self.broken = None;
            self.input(Input::Attached);
        }
    }

    fn lose_connection(&mut self) {
        self.connected = false;
        self.queue.retain(|e| matches!(e, Effect::Store(..)));
        self.input(Input::Disconnected);
    }

    fn crash(&mut self) {
        self.connected = false;
        self.queue.clear();
        self.outbox = Outbox::restore(self.disk.clone());
    }

    /// A post reaches the server; the answer is lost when `answered` is false.
    fn post(&mut self, mid: MessageId, body: Vec<u8>, refuse: bool, answered: bool) {
        if self.broken.is_some_and(|failed| failed != mid) {
            return self.input(Input::Refused(mid, error(ErrorCode::OrderBroken, None)));
        }
        if refuse {
            self.broken = Some(mid);
            return self.input(Input::Refused(mid, error(ErrorCode::Unavailable, Some(0))));
        }
        self.broken = None;
        match self.stored.iter().find(|(known, _)| *known == mid) {
            Some((_, same)) => assert_eq!(*same, body, "the same id with other content"),
            None => self.stored.push((mid, body)),
        }
        if answered {
            self.input(Input::Confirmed(mid));
        } else {
            self.lose_connection();
        }
    }

    fn step(&mut self, fault: u8) -> bool {
        match self.queue.pop_front() {
            None => return false,
            Some(Effect::Store(token, records)) => {
                self.disk.extend(records);
                self.input(Input::Stored(token));
            }
            Some(Effect::Seal(mid, _, plain)) => {
                self.sealings = self.sealings.wrapping_add(1);
                self.input(Input::Sealed(mid, vec![plain[0], self.sealings]));
            }
            Some(Effect::Post(mid, _, body)) if self.connected => {
                self.post(mid, body, fault == 4, fault != 3);
            }
            Some(Effect::Post(..)) => {}
            Some(Effect::WakeAt(_)) => self.input(Input::Tick),
            Some(Effect::Reconnect) => self.lose_connection(),
            Some(Effect::Accepted(_)) => {}
            Some(effect @ (Effect::NotAccepted(_) | Effect::Failed(..))) => panic!("{effect:?}"),
        }
        true
    }
}

proptest! {
    #[test]
    fn every_accepted_message_is_stored_once_and_in_order(
        faults in proptest::collection::vec((0u8..6, 0u8..6), 0..80),
    ) {
        let mut world = World::default();
        let mut given = Vec::new();
        for (n, (fault, steps)) in faults.into_iter().enumerate() {
            world.connect();
            if n < 20 {
                let n = n as u64 + 1;
                world.input(Input::Accept(mid(n), to(1), vec![n as u8]));
                // The application counts a message as given once it is on disk.
                while !world.disk.iter().any(|r| matches!(r, Record::Accepted { mid: m, .. } if *m == mid(n))) {
                    prop_assert!(world.step(0));
                }
                given.push(mid(n));
            }
            for _ in 0..steps {
                world.step(fault);
            }
            match fault {
                0 => world.lose_connection(),
                1 => world.crash(),
                _ => {}
            }
        }
        for _ in 0..2000 {
            world.connect();
            if !world.step(0) {
                break;
            }
        }
        let stored: Vec<_> = world.stored.iter().map(|(mid, _)| *mid).collect();
        prop_assert_eq!(stored, given);
        prop_assert!(world.outbox.is_empty());
    }
}
