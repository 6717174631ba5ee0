//! The mailbox commands against a naive model, and their limits.

mod claims;
mod limits;

use std::collections::BTreeMap;

use crs_types::limits::{ACK_MAX, ID_FUTURE_MAX, MESSAGE_RETENTION};
use crs_types::{AccountId, GroupId, MessageId, Timestamp};
use proptest::prelude::*;

use super::rows::{ItemKind, ItemRow, UserRow};
use super::*;
use crate::table::Kv;
use crate::table::memory::MemoryKv;

const NOW: u64 = 1_790_000_000_000;

fn user(n: u8) -> UserKey {
    let uri = Uri::parse(&format!("+4670000{n:03}")).unwrap();
    UserKey::new(AccountId::parse("Acc").unwrap(), uri)
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(NOW + ms)
}

fn mid(n: u8, ms: u64) -> MessageId {
    MessageId::from_parts(at(ms), [n; 10])
}

fn apply(table: &MemoryKv, command: &MailboxCommand) -> (MailboxReply, Effects) {
    let mut txn = Txn::new(table);
    let reply = command.apply(&mut txn).unwrap();
    let (changes, effects) = txn.finish();
    for (key, value) in &changes {
        let length = value.as_ref().map_or(0, Vec::len);
        assert!(length <= 4_096, "a row of kind {:?} has {length} bytes", key.first());
    }
    table.write(&changes).unwrap();
    (reply, effects)
}

fn post(to: u8, from: u8, id: u8, size: usize, expires: u64) -> Post {
    Post {
        to: user(to),
        from: user(from),
        mid: mid(id, 0),
        time: at(0),
        expires: at(expires),
        body: Body::from(vec![id; size]),
        quota: Quota { user_messages: 8, user_bytes: 20_000, account_bytes: None },
    }
}

#[derive(Debug, Clone)]
enum Step {
    Post { to: u8, from: u8, id: u8, size: usize, expires: u64 },
    Claim { to: u8, from: u8, id: u8, size: usize },
    Ack { of: u8, n: u64 },
    Pump { twice: bool },
    Expire { ms: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = prop_oneof![Just(10usize), Just(3_584), Just(3_585), Just(9_000)];
    let post = (0..3u8, 0..3u8, 0..12u8, size.clone(), 1..50u64)
        .prop_map(|(to, from, id, size, expires)| Step::Post { to, from, id, size, expires });
    let claim = (0..3u8, 0..3u8, 0..12u8, size).prop_map(|(to, from, id, size)| Step::Claim {
        to,
        from,
        id,
        size,
    });
    let ack = (0..3u8, 1..12u64).prop_map(|(of, n)| Step::Ack { of, n });
    let pump = any::<bool>().prop_map(|twice| Step::Pump { twice });
    let expire = (0..60u64).prop_map(|ms| Step::Expire { ms });
    let step = prop_oneof![4 => post, 1 => claim, 3 => ack, 1 => pump, 1 => expire];
    prop::collection::vec(step, 1..60)
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Thing {
    Content { mid: MessageId, size: usize, from: u8 },
    Receipt { mid: MessageId, by: u8 },
}

/// What the commands are meant to do, said as plainly as possible.
#[derive(Debug, Default)]
struct Model {
    boxes: BTreeMap<u8, BTreeMap<u64, (Thing, Timestamp)>>,
    newest: BTreeMap<u8, u64>,
    /// Receiver, size, and the arrival number once it was stored.
    seen: BTreeMap<(u8, MessageId), (u8, usize, Option<u64>)>,
    outbox: Vec<(u8, MessageId, u8)>,
    posted: BTreeMap<u8, u64>,
    delivered: BTreeMap<u8, u64>,
}

impl Model {
    fn add(&mut self, of: u8, thing: Thing, expires: Timestamp) -> u64 {
        let newest = self.newest.entry(of).or_default();
        *newest += 1;
        self.boxes.entry(of).or_default().insert(*newest, (thing, expires));
        *newest
    }

    fn post(&mut self, p: &Post, to: u8, from: u8) -> PostReply {
        let size = p.body.len();
        if let Some((seen_to, seen_size, n)) = self.seen.get(&(from, p.mid)) {
            if (*seen_to, *seen_size) != (to, size) {
                return PostReply::IdConflict;
            }
            if let Some(n) = n {
                return PostReply::Duplicate { n: *n };
            }
        }
        let sizes = self.boxes.get(&to).into_iter().flatten().filter_map(|(_, (t, _))| match t {
            Thing::Content { size, .. } => Some(*size as u64),
            Thing::Receipt { .. } => None,
        });
        let sizes: Vec<u64> = sizes.collect();
        if sizes.len() >= 8 || sizes.iter().sum::<u64>() + size as u64 > 20_000 {
            return PostReply::QuotaExceeded;
        }
        let n = self.add(to, Thing::Content { mid: p.mid, size, from }, p.expires);
        self.seen.insert((from, p.mid), (to, size, Some(n)));
        *self.posted.entry(from).or_default() += 1;
        PostReply::Stored { n }
    }

    fn claim(&mut self, p: &Post, to: u8, from: u8) -> ClaimReply {
        let size = p.body.len();
        match self.seen.get(&(from, p.mid)) {
            Some((seen_to, seen_size, _)) if (*seen_to, *seen_size) == (to, size) => {
                ClaimReply::Same
            }
            Some(_) => ClaimReply::Refused(PostReply::IdConflict),
            None => {
                self.seen.insert((from, p.mid), (to, size, None));
                ClaimReply::Claimed
            }
        }
    }

    fn ack(&mut self, of: u8, n: u64) -> MailboxReply {
        let acked = |removed, contents| MailboxReply::Acked { removed, contents };
        match self.boxes.entry(of).or_default().remove(&n) {
            None => acked(0, vec![]),
            Some((Thing::Receipt { .. }, _)) => acked(1, vec![]),
            Some((Thing::Content { mid, from, .. }, _)) => {
                *self.delivered.entry(from).or_default() += 1;
                self.outbox.push((from, mid, of));
                acked(1, vec![AckedContent { mid, from: user(from).uri }])
            }
        }
    }
}

/// Forwards the whole outbox as the store's pump does, once or twice.
fn pump(table: &MemoryKv, model: &mut Model, twice: bool) {
    let found = table.range(b"o", b"p", usize::MAX).unwrap();
    let items: Vec<OutboxRow> =
        found.iter().map(|(key, value)| crate::table::decode_row(key, value).unwrap()).collect();
    let seqs = items.iter().map(|row| row.seq).collect();
    let receipts = MailboxCommand::Receipts(Receipts { origin: GroupId(1), items });
    apply(table, &receipts);
    if twice {
        let (reply, effects) = apply(table, &receipts);
        assert_eq!(reply, MailboxReply::Receipts { accepted: 0 });
        assert!(effects.arrivals.is_empty());
    }
    apply(table, &MailboxCommand::OutboxDone(OutboxDone { seqs }));
    for (to, mid, by) in std::mem::take(&mut model.outbox) {
        model.add(to, Thing::Receipt { mid, by }, at(0).plus(MESSAGE_RETENTION));
    }
}

fn run(table: &MemoryKv, model: &mut Model, step: &Step) {
    match step {
        Step::Post { to, from, id, size, expires } => {
            let post = post(*to, *from, *id, *size, *expires);
            let expected = model.post(&post, *to, *from);
            let (reply, effects) = apply(table, &MailboxCommand::Post(post));
            assert_eq!(reply, MailboxReply::Post(expected));
            let stored = matches!(expected, PostReply::Stored { .. });
            assert_eq!(effects.arrivals.len(), usize::from(stored));
            assert_eq!(effects.bodies.len(), usize::from(stored && *size > rows::INLINE_BODY_MAX));
        }
        Step::Claim { to, from, id, size } => {
            let post = post(*to, *from, *id, *size, 1);
            let expected = model.claim(&post, *to, *from);
            let (reply, effects) = apply(table, &MailboxCommand::Claim(Claim::of(&post)));
            assert_eq!((reply, effects), (MailboxReply::Claim(expected), Effects::default()));
        }
        Step::Ack { of, n } => {
            let ack = Ack { user: user(*of), n: vec![*n, *n], time: at(0) };
            let (reply, _) = apply(table, &MailboxCommand::Ack(ack));
            assert_eq!(reply, model.ack(*of, *n));
        }
        Step::Pump { twice } => pump(table, model, *twice),
        Step::Expire { ms } => {
            apply(table, &MailboxCommand::Expire(Expire { now: at(*ms), limit: 1_000 }));
            for items in model.boxes.values_mut() {
                items.retain(|_, (_, expires)| *expires >= at(*ms));
            }
        }
    }
}

fn check(table: &MemoryKv, model: &Model) {
    for n in 0..3u8 {
        let prefix = rows::with_user(b'i', &user(n));
        let found = table.range(&prefix, &rows::after_prefix(&prefix), usize::MAX).unwrap();
        let found: Vec<(u64, Thing)> = found
            .iter()
            .map(|(key, value)| {
                let item: ItemRow = crate::table::decode_row(key, value).unwrap();
                let who = |key: &UserKey| (0..3u8).find(|n| user(*n) == *key).unwrap();
                let thing = match item.kind {
                    ItemKind::Content { mid, from, body, .. } => {
                        Thing::Content { mid, size: body.len() as usize, from: who(&from) }
                    }
                    ItemKind::Receipt { mid, by, .. } => Thing::Receipt { mid, by: who(&by) },
                };
                (rows::item_number(key), thing)
            })
            .collect();
        let expected = model.boxes.get(&n).into_iter().flatten();
        let expected: Vec<_> = expected.map(|(n, (thing, _))| (*n, thing.clone())).collect();
        assert_eq!(found, expected);
        let row: UserRow = Txn::new(table).user(&user(n)).unwrap();
        let count = |f: fn(&Thing) -> u64| expected.iter().map(|(_, thing)| f(thing)).sum::<u64>();
        let is_content = |thing: &Thing| u64::from(matches!(thing, Thing::Content { .. }));
        assert_eq!(row.messages, count(is_content));
        assert_eq!(row.receipts, expected.len() as u64 - row.messages);
        assert_eq!(row.newest, model.newest.get(&n).copied().unwrap_or(0));
        assert_eq!(row.posted, model.posted.get(&n).copied().unwrap_or(0));
        assert_eq!(row.delivered, model.delivered.get(&n).copied().unwrap_or(0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_commands_do_what_the_model_does(steps in steps()) {
        let table = MemoryKv::default();
        let mut model = Model::default();
        for step in &steps {
            run(&table, &mut model, step);
            check(&table, &model);
        }
    }

    /// Replaying commands from the start gives the same table, byte for byte.
    #[test]
    fn applying_is_deterministic(steps in steps()) {
        let tables = [MemoryKv::default(), MemoryKv::default()];
        for table in &tables {
            let mut model = Model::default();
            steps.iter().for_each(|step| run(table, &mut model, step));
        }
        let all = |table: &MemoryKv| table.range(&[], &[0xff], usize::MAX).unwrap();
        prop_assert_eq!(all(&tables[0]), all(&tables[1]));
    }
}

#[test]
fn ids_are_refused_outside_their_window_and_remembered_inside() {
    let table = MemoryKv::default();
    let day = 86_400_000;
    let mut old = post(1, 2, 1, 10, 1);
    old.time =
        old.mid.claimed_time().plus(MESSAGE_RETENTION).plus(std::time::Duration::from_millis(1));
    let reply = |post: &Post| apply(&table, &MailboxCommand::Post(post.clone())).0;
    assert_eq!(reply(&old), MailboxReply::Post(PostReply::IdTooOld));
    let mut early = post(1, 2, 2, 10, 1);
    early.mid = mid(2, ID_FUTURE_MAX.as_millis() as u64 + 1);
    assert_eq!(reply(&early), MailboxReply::Post(PostReply::IdInFuture));
    early.mid = mid(2, day);
    assert_eq!(reply(&early), MailboxReply::Post(PostReply::Stored { n: 1 }));
    // As long as the id is accepted, its repetition is recognised.
    let last = early.mid.claimed_time().plus(MESSAGE_RETENTION);
    apply(&table, &MailboxCommand::Expire(Expire { now: last, limit: 1_000 }));
    early.time = last;
    assert_eq!(reply(&early), MailboxReply::Post(PostReply::Duplicate { n: 1 }));
    let later = last.plus(ID_FUTURE_MAX).plus(ID_FUTURE_MAX);
    apply(&table, &MailboxCommand::Expire(Expire { now: later, limit: 1_000 }));
    assert!(table.range(b"d", b"e", 10).unwrap().is_empty(), "ids are forgotten in the end");
    assert!(table.range(b"c", b"d", 10).unwrap().is_empty(), "and so is their number");
}

#[test]
fn lists_over_their_limit_are_refused_and_old_records_give_way() {
    let table = MemoryKv::default();
    let ack = Ack { user: user(1), n: vec![1; ACK_MAX + 1], time: at(0) };
    let (reply, _) = apply(&table, &MailboxCommand::Ack(ack));
    assert_eq!(reply, MailboxReply::OverLimit { limit: ACK_MAX as u64 });
    for n in 0..DEVICES_MAX + 5 {
        let put = PutClientInfo {
            user: user(1),
            device: crs_types::DeviceId::parse(&format!("d{n}")).unwrap(),
            info: Body::from(vec![0; CLIENT_INFO_MAX]),
            time: at(n as u64),
        };
        apply(&table, &MailboxCommand::PutClientInfo(put));
    }
    assert_eq!(table.range(b"k", b"l", 100).unwrap().len(), DEVICES_MAX);
    let long = PutClientInfo {
        user: user(1),
        device: crs_types::DeviceId::parse("d").unwrap(),
        info: Body::from(vec![0; CLIENT_INFO_MAX + 1]),
        time: at(0),
    };
    let (reply, _) = apply(&table, &MailboxCommand::PutClientInfo(long));
    assert_eq!(reply, MailboxReply::OverLimit { limit: CLIENT_INFO_MAX as u64 });
}

#[test]
fn dropping_an_account_leaves_nothing_of_its_mailboxes() {
    let table = MemoryKv::default();
    for id in 0..8 {
        apply(&table, &MailboxCommand::Post(post(id % 3, 2, id, 5_000, 1_000)));
    }
    let drop = DropAccount { account: AccountId::parse("acc").unwrap(), limit: 3 };
    let mut released = 0;
    for _ in 0..100 {
        let (reply, effects) = apply(&table, &MailboxCommand::DropAccount(drop.clone()));
        released += effects.released.len();
        if matches!(reply, MailboxReply::Removed { more: false, .. }) {
            break;
        }
    }
    assert_eq!(released, 8, "bodies are released");
    for kind in [b'i', b'r', b'u', b'k', b'd', b'c', b'a'] {
        assert!(table.range(&[kind], &[kind + 1], 10).unwrap().is_empty(), "{}", kind as char);
    }
}
