//! Tests of the inbox: exact effects, and a property over random faults.

use proptest::prelude::*;

use super::*;

const NOW: Mono = Mono::from_micros(1_000_000);

fn mid(n: u64) -> MessageId {
    MessageId::from_parts(Timestamp::from_secs(1_800_000_000 + n), [n as u8; 10])
}

fn entry(n: u64) -> Entry {
    let key = Key {
        receipt: false,
        account: AccountId::parse("acme").unwrap(),
        from: Uri::parse("+46701234567").unwrap(),
        mid: mid(n),
    };
    Entry { key, time: Timestamp::from_secs(n), content: Ok(vec![n as u8]) }
}

fn fresh() -> Inbox {
    Inbox::restore(Vec::new(), true)
}

#[test]
fn a_cycle_stores_before_it_acknowledges_and_hands_out() {
    let mut inbox = fresh();
    assert_eq!(inbox.handle(Input::Attached, NOW), [Effect::Fetch(0)]);
    let page = vec![(7, Some(entry(1))), (9, Some(entry(2)))];
    assert_eq!(
        inbox.handle(Input::Fetched(page, false), NOW),
        [Effect::Store(vec![Record::Entry(1, entry(1)), Record::Entry(2, entry(2))])]
    );
    assert_eq!(
        inbox.handle(Input::Stored, NOW),
        [Effect::Hand(1, entry(1)), Effect::Hand(2, entry(2)), Effect::Ack(vec![7, 9])]
    );
    assert_eq!(inbox.handle(Input::Acked, NOW), []);
    assert_eq!(inbox.handle(Input::News, NOW), [Effect::Fetch(9)]);
}

#[test]
fn an_item_of_an_unknown_kind_is_acknowledged_and_nothing_else() {
    let mut inbox = fresh();
    inbox.handle(Input::Attached, NOW);
    assert_eq!(inbox.handle(Input::Fetched(vec![(7, None)], true), NOW), [Effect::Ack(vec![7])]);
    assert_eq!(inbox.handle(Input::Acked, NOW), [Effect::Fetch(7)]);
    let page = vec![(8, None), (9, Some(entry(1)))];
    assert_eq!(
        inbox.handle(Input::Fetched(page, false), NOW),
        [Effect::Store(vec![Record::Entry(1, entry(1))])]
    );
    assert_eq!(
        inbox.handle(Input::Stored, NOW),
        [Effect::Hand(1, entry(1)), Effect::Ack(vec![8, 9])]
    );
}

#[test]
fn what_came_before_is_acknowledged_again_but_not_handed_out() {
    let mut inbox = fresh();
    inbox.handle(Input::Attached, NOW);
    inbox.handle(Input::Fetched(vec![(7, Some(entry(1)))], false), NOW);
    inbox.handle(Input::Stored, NOW);
    inbox.handle(Input::Disconnected, NOW);
    assert_eq!(inbox.handle(Input::Attached, NOW), [Effect::Fetch(0)]);
    assert_eq!(
        inbox.handle(Input::Fetched(vec![(7, Some(entry(1)))], false), NOW),
        [Effect::Ack(vec![7])]
    );
}

#[test]
fn a_restart_between_store_and_ack_hands_out_once() {
    let records = vec![Record::Entry(1, entry(1)), Record::Entry(2, entry(2)), Record::Done(1)];
    let mut inbox = Inbox::restore(records, true);
    assert_eq!(inbox.pending().map(|(seq, _)| seq).collect::<Vec<_>>(), [2]);
    inbox.handle(Input::Attached, NOW);
    let page = vec![(7, Some(entry(1))), (8, Some(entry(2))), (9, Some(entry(3)))];
    assert_eq!(
        inbox.handle(Input::Fetched(page, false), NOW),
        [Effect::Store(vec![Record::Entry(3, entry(3))])]
    );
    assert_eq!(
        inbox.handle(Input::Stored, NOW),
        [Effect::Hand(3, entry(3)), Effect::Ack(vec![7, 8, 9])]
    );
}

#[test]
fn a_full_disk_acknowledges_nothing_and_tries_again() {
    let mut inbox = fresh();
    inbox.handle(Input::Attached, NOW);
    inbox.handle(Input::Fetched(vec![(7, Some(entry(1)))], false), NOW);
    let later = NOW.plus(RETRY);
    assert_eq!(inbox.handle(Input::StoreFailed, NOW), [Effect::WakeAt(later)]);
    assert_eq!(inbox.handle(Input::News, NOW), []);
    assert_eq!(inbox.handle(Input::Tick, later), [Effect::Fetch(0)]);
}

#[test]
fn acks_are_split_at_the_wire_limit() {
    let mut inbox = fresh();
    inbox.handle(Input::Attached, NOW);
    let page = (0..300).map(|n| (n + 1, Some(entry(n)))).collect();
    inbox.handle(Input::Fetched(page, true), NOW);
    let effects = inbox.handle(Input::Stored, NOW);
    let Some(Effect::Ack(first)) = effects.last() else { panic!("{effects:?}") };
    assert_eq!(first.len(), ACK_MAX);
    let effects = inbox.handle(Input::Acked, NOW);
    assert!(matches!(effects.as_slice(), [Effect::Ack(rest)] if rest.len() == 44));
    assert_eq!(inbox.handle(Input::Acked, NOW), [Effect::Fetch(300)]);
}

#[test]
fn a_full_inbox_stops_fetching_until_the_application_reads() {
    let records = (0..PENDING_MAX as u64).map(|n| Record::Entry(n + 1, entry(n))).collect();
    let mut inbox = Inbox::restore(records, true);
    assert_eq!(inbox.handle(Input::Attached, NOW), []);
    assert_eq!(inbox.handle(Input::Done(5), NOW), [Effect::StoreDone(5), Effect::Fetch(0)]);
}

#[test]
fn a_secondary_does_not_acknowledge() {
    let mut inbox = Inbox::restore(Vec::new(), false);
    inbox.handle(Input::Attached, NOW);
    inbox.handle(Input::Fetched(vec![(7, Some(entry(1)))], true), NOW);
    assert_eq!(inbox.handle(Input::Stored, NOW), [Effect::Hand(1, entry(1)), Effect::Fetch(7)]);
}

#[test]
fn ids_that_are_forgotten_are_the_oldest() {
    let records = (0..SEEN_MAX as u64 + 1).map(|n| {
        let mut entry = entry(0);
        entry.key.mid = MessageId::from_parts(Timestamp::from_secs(n), [1; 10]);
        Record::Seen(entry.key)
    });
    let inbox = Inbox::restore(records.collect(), true);
    assert_eq!(inbox.seen.len(), SEEN_MAX);
    assert!(!inbox.seen.iter().any(|key| key.mid.claimed_time() == Timestamp::from_secs(0)));
}

/// A server's mailbox, a client that may lose its connection or its process at any point, and an
/// application that keeps what it has dealt with.
struct World {
    mailbox: Vec<u64>,
    disk: Vec<Record>,
    inbox: Inbox,
    application: Vec<u64>,
    queue: VecDeque<Effect>,
    connected: bool,
}

impl World {
    fn input(&mut self, input: Input) {
        let effects = self.inbox.handle(input, NOW);
        self.queue.extend(effects);
    }

    fn connect(&mut self) {
        if !self.connected {
            self.connected = true;
            self.input(Input::Attached);
        }
    }

    fn lose_connection(&mut self) {
        self.connected = false;
        self.queue
            .retain(|e| matches!(e, Effect::Store(_) | Effect::StoreDone(_) | Effect::Hand(..)));
        self.input(Input::Disconnected);
    }

    fn crash(&mut self) {
        self.connected = false;
        self.queue.clear();
        self.inbox = Inbox::restore(self.disk.clone(), true);
        let again: Vec<_> = self.inbox.pending().map(|(seq, e)| (seq, e.clone())).collect();
        self.queue.extend(again.into_iter().map(|(seq, e)| Effect::Hand(seq, e)));
    }

    /// Runs one effect; false when there is none.
    fn step(&mut self) -> bool {
        match self.queue.pop_front() {
            None => return false,
            Some(Effect::Fetch(after)) if self.connected => {
                let newer = self.mailbox.iter().filter(|n| **n > after);
                let items: Vec<_> = newer.take(3).map(|n| (*n, Some(entry(*n)))).collect();
                let last = items.last().map_or(after, |(n, _)| *n);
                let more = self.mailbox.iter().any(|n| *n > last);
                self.input(Input::Fetched(items, more));
            }
            Some(Effect::Store(records)) => {
                self.disk.extend(records);
                self.input(Input::Stored);
            }
            Some(Effect::StoreDone(seq)) => self.disk.push(Record::Done(seq)),
            Some(Effect::Ack(n)) if self.connected => {
                self.mailbox.retain(|item| !n.contains(item));
                self.input(Input::Acked);
            }
            Some(Effect::Hand(seq, entry)) => {
                // The application's own record and the journal's are made together.
                let n = u64::from(entry.content.unwrap()[0]);
                self.application.push(n);
                self.disk.push(Record::Done(seq));
                self.input(Input::Done(seq));
            }
            Some(Effect::Fetch(_) | Effect::Ack(_)) => {}
            Some(Effect::WakeAt(_)) => self.input(Input::Tick),
        }
        true
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_doubled_or_reordered(faults in proptest::collection::vec((0u8..4, 0u8..6), 0..60)) {
        let mut world = World {
            mailbox: (1..=20).collect(),
            disk: Vec::new(),
            inbox: fresh(),
            application: Vec::new(),
            queue: VecDeque::new(),
            connected: false,
        };
        for (fault, steps) in faults {
            world.connect();
            for _ in 0..steps {
                world.step();
            }
            match fault {
                0 => world.lose_connection(),
                1 => world.crash(),
                _ => {}
            }
        }
        world.connect();
        for _ in 0..500 {
            if !world.step() {
                break;
            }
        }
        prop_assert_eq!(world.application, (1..=20).collect::<Vec<u64>>());
        prop_assert!(world.mailbox.is_empty());
    }

    #[test]
    fn compaction_changes_nothing_that_matters(done in proptest::collection::vec(1u64..30, 0..30)) {
        let mut records: Vec<_> = (1..30).map(|n| Record::Entry(n, entry(n))).collect();
        records.extend(done.iter().map(|n| Record::Done(*n)));
        let inbox = Inbox::restore(records, true);
        let again = Inbox::restore(inbox.compacted().concat(), true);
        prop_assert_eq!(&inbox.pending, &again.pending);
        prop_assert_eq!(&inbox.seen, &again.seen);
        prop_assert_eq!(inbox.next_seq, again.next_seq);
    }
}
