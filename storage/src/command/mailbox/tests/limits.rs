//! The limits of a mailbox at their real values.

use std::sync::atomic::{AtomicUsize, Ordering};

use crs_types::limits::{MAILBOX_BYTES_MAX, MAILBOX_MESSAGES_MAX};
use crs_types::{AccountId, GroupId, MessageId, Period, Timestamp, Uri};

use super::super::notes::{PERIODS_KEPT, READS_MAX};
use super::super::rows::{AccountRow, UserRow};
use super::super::*;
use crate::table::memory::MemoryKv;
use crate::table::{Changes, Kv, Rows, TableError};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn user(n: u8) -> UserKey {
    let uri = Uri::parse(&format!("+4670000{n:03}")).unwrap();
    UserKey::new(AccountId::parse("acc").unwrap(), uri)
}

fn apply(table: &MemoryKv, command: &MailboxCommand) -> MailboxReply {
    let mut txn = Txn::new(table);
    let reply = command.apply(&mut txn).unwrap();
    table.write(&txn.finish().0).unwrap();
    reply
}

/// Changes the counters of user 1, so that a limit need not be filled up one by one.
fn set_user(table: &MemoryKv, change: impl FnOnce(&mut UserRow)) {
    let mut txn = Txn::new(table);
    let mut row = txn.user(&user(1)).unwrap();
    change(&mut row);
    txn.put_row(&rows::user_key(&user(1)), &row).unwrap();
    table.write(&txn.finish().0).unwrap();
}

fn post(table: &MemoryKv, id: u8, size: usize, quota: Quota) -> PostReply {
    let post = Post {
        to: user(1),
        from: user(2),
        mid: MessageId::from_parts(NOW, [id; 10]),
        time: NOW,
        expires: NOW.plus(crs_types::limits::MESSAGE_RETENTION),
        body: Body::from(vec![id; size]),
        quota,
    };
    let reply = apply(table, &MailboxCommand::Post(post));
    let MailboxReply::Post(reply) = reply else { panic!("{reply:?}") };
    reply
}

#[test]
fn a_full_mailbox_refuses_by_number_and_by_bytes() {
    let table = MemoryKv::default();
    set_user(&table, |row| row.messages = MAILBOX_MESSAGES_MAX - 1);
    assert_eq!(post(&table, 1, 1, Quota::default()), PostReply::Stored { n: 1 });
    assert_eq!(post(&table, 2, 1, Quota::default()), PostReply::QuotaExceeded);
    let table = MemoryKv::default();
    set_user(&table, |row| row.bytes = MAILBOX_BYTES_MAX - 5);
    assert_eq!(post(&table, 1, 6, Quota::default()), PostReply::QuotaExceeded);
    assert_eq!(post(&table, 2, 5, Quota::default()), PostReply::Stored { n: 1 });
    assert_eq!(post(&table, 3, 1, Quota::default()), PostReply::QuotaExceeded);
    let table = MemoryKv::default();
    let mut txn = Txn::new(&table);
    let account = AccountRow { messages: 9, bytes: 990 };
    txn.put_row(&rows::account_key(&user(1).account), &account).unwrap();
    table.write(&txn.finish().0).unwrap();
    let quota = Quota { account_bytes: Some(1_000), ..Quota::default() };
    assert_eq!(post(&table, 1, 11, quota), PostReply::QuotaExceeded);
    assert_eq!(post(&table, 2, 10, quota), PostReply::Stored { n: 1 });
}

/// Posts and claims alike; what was posted before is still recognised, and forgetting makes room.
#[test]
fn remembered_ids_of_a_sender_are_limited() {
    let table = MemoryKv::default();
    assert_eq!(post(&table, 1, 1, Quota::default()), PostReply::Stored { n: 1 });
    let count = |table: &MemoryKv| Txn::new(table).row::<u64>(&rows::ids_key(&user(2))).unwrap();
    assert_eq!(count(&table), Some(1));
    let mut txn = Txn::new(&table);
    txn.put_row(&rows::ids_key(&user(2)), &(IDS_MAX - 1)).unwrap();
    table.write(&txn.finish().0).unwrap();
    let claim = |id: u8| {
        let (from, mid) = (user(2), MessageId::from_parts(NOW, [id; 10]));
        let claim = Claim { from, mid, fingerprint: [id; 32], time: NOW };
        apply(&table, &MailboxCommand::Claim(claim))
    };
    assert_eq!(claim(2), MailboxReply::Claim(ClaimReply::Claimed));
    assert_eq!(claim(2), MailboxReply::Claim(ClaimReply::Same));
    assert_eq!(count(&table), Some(IDS_MAX));
    let refused = ClaimReply::Refused(PostReply::TooManyIds);
    assert_eq!(claim(3), MailboxReply::Claim(refused));
    assert_eq!(post(&table, 4, 1, Quota::default()), PostReply::TooManyIds);
    assert_eq!(post(&table, 1, 1, Quota::default()), PostReply::Duplicate { n: 1 });
    let later = NOW.plus(crs_types::limits::MESSAGE_RETENTION * 2);
    apply(&table, &MailboxCommand::Expire(Expire { now: later, limit: 1_000 }));
    assert_eq!(count(&table), Some(IDS_MAX - 2));
    assert!(matches!(post(&table, 4, 1, Quota::default()), PostReply::Stored { .. }));
}

#[test]
fn a_receipt_over_the_limit_pushes_out_the_oldest() {
    let table = MemoryKv::default();
    let receipt = |seq: u64| {
        let mid = MessageId::from_parts(NOW, [seq as u8; 10]);
        let item = OutboxRow { seq, to: user(1), mid, by: user(2), time: NOW };
        let items = vec![item];
        apply(&table, &MailboxCommand::Receipts(Receipts { origin: GroupId(1), items }))
    };
    let waiting = || {
        let prefix = rows::with_user(b'i', &user(1));
        let found = table.range(&prefix, &rows::after_prefix(&prefix), 10).unwrap();
        found.iter().map(|(key, _)| rows::item_number(key)).collect::<Vec<_>>()
    };
    receipt(1);
    receipt(2);
    set_user(&table, |row| row.receipts = RECEIPTS_MAX);
    assert_eq!(receipt(3), MailboxReply::Receipts { accepted: 1 });
    assert_eq!(waiting(), [2, 3]);
    let row = Txn::new(&table).user(&user(1)).unwrap();
    assert_eq!(row.receipts, RECEIPTS_MAX);
}

/// Counts the rows it reads.
#[derive(Default)]
struct Counting {
    table: MemoryKv,
    rows: AtomicUsize,
}

impl Kv for Counting {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        self.rows.fetch_add(1, Ordering::Relaxed);
        self.table.get(key)
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Rows, TableError> {
        let found = self.table.range(from, to, limit)?;
        self.rows.fetch_add(found.len(), Ordering::Relaxed);
        Ok(found)
    }

    fn write(&self, changes: &Changes) -> Result<(), TableError> {
        self.table.write(changes)
    }
}

/// Messages in front of the oldest receipt are passed once, not once for every receipt.
#[test]
fn a_receipt_over_the_limit_costs_the_same_behind_many_messages() {
    const MESSAGES: u8 = 200;
    let table = Counting::default();
    let apply = |command: &MailboxCommand| {
        let mut txn = Txn::new(&table);
        command.apply(&mut txn).unwrap();
        let (changes, effects) = txn.finish();
        table.write(&changes).unwrap();
        effects.receipts_dropped
    };
    let receipts = |seqs: std::ops::Range<u64>| {
        let mid = MessageId::from_parts(NOW, [7; 10]);
        let row = |seq| OutboxRow { seq, to: user(1), mid, by: user(2), time: NOW };
        let items = seqs.map(row).collect();
        apply(&MailboxCommand::Receipts(Receipts { origin: GroupId(1), items }))
    };
    for id in 0..MESSAGES {
        post(&table.table, id, 1, Quota::default());
    }
    receipts(1..1_000);
    set_user(&table.table, |row| row.receipts = RECEIPTS_MAX);
    assert_eq!(receipts(1_000..1_001), 1, "the first one finds out what lies in front");
    table.rows.store(0, Ordering::Relaxed);
    assert_eq!(receipts(1_001..1_257), 256);
    let read = table.rows.load(Ordering::Relaxed);
    assert!(read < 256 * 20, "{read} rows for 256 receipts");
    let prefix = rows::with_user(b'i', &user(1));
    let left = table.table.range(&prefix, &rows::after_prefix(&prefix), 10_000).unwrap();
    let numbers: Vec<u64> = left.iter().map(|(key, _)| rows::item_number(key)).collect();
    let messages = u64::from(MESSAGES);
    let kept = messages + 258..=messages + 1_256;
    assert_eq!(numbers, (1..=messages).chain(kept).collect::<Vec<_>>(), "the oldest have gone");
}

#[test]
fn notes_are_limited_and_flags_of_old_periods_give_way() {
    let table = MemoryKv::default();
    let reads = vec![(user(1), NOW); READS_MAX + 1];
    let reply = apply(&table, &MailboxCommand::NoteRead(NoteRead { reads }));
    assert_eq!(reply, MailboxReply::OverLimit { limit: READS_MAX as u64 });
    let mut period: Period = "2026-01".parse().unwrap();
    for serial in 0..PERIODS_KEPT as u64 + 2 {
        let (user, note) = (user(1), UpdateNote::Offered);
        let note = NoteUpdate { user, period, serial, note, time: NOW };
        apply(&table, &MailboxCommand::NoteUpdate(note));
        period = period.next();
    }
    let row = Txn::new(&table).user(&user(1)).unwrap();
    let kept: Vec<String> = row.updates.iter().map(|flag| flag.period.to_string()).collect();
    assert_eq!(kept, ["2026-03", "2026-04", "2026-05", "2026-06", "2026-07"]);
}
