//! The limits of a mailbox at their real values.

use crs_types::limits::{MAILBOX_BYTES_MAX, MAILBOX_MESSAGES_MAX};
use crs_types::{AccountId, GroupId, MessageId, Period, Timestamp, Uri};

use super::super::notes::{PERIODS_KEPT, READS_MAX};
use super::super::rows::{AccountRow, UserRow};
use super::super::*;
use crate::table::Kv;
use crate::table::memory::MemoryKv;

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
