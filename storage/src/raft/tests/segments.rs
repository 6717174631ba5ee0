//! Body segments go with their last body, and an acknowledgement looks at no others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crs_types::disk::Disk;
use crs_types::{AccountId, GroupId, MessageId, Timestamp, Uri};

use super::{log, mailbox};
use crate::command::mailbox::{Ack, Post, Quota};
use crate::command::{Body, MailboxCommand, UserKey};
use crate::raft::MailboxMachine;
use crate::raft::mailbox_state::{Applied, body_of};
use crate::raft::types::Command;
use crate::table::memory::{MemoryEngine, MemoryKv};
use crate::table::{Changes, Engine, Kv, Rows, TableError};
use crate::testing::FakeDisk;

const GROUP: GroupId = GroupId(1);
const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const BODY: usize = 64 << 10;
/// Bodies after which a segment takes no further one.
const PER_SEGMENT: u64 = (8 << 20) / BODY as u64;

/// One table that counts the rows its ranges give.
#[derive(Default)]
struct Counting {
    table: MemoryKv,
    rows: AtomicUsize,
}

struct CountingEngine(Arc<Counting>);

impl Kv for Counting {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
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

impl Engine for CountingEngine {
    fn open(&self, _: &str) -> Result<Arc<dyn Kv>, TableError> {
        let table: Arc<Counting> = Arc::clone(&self.0);
        Ok(table)
    }

    fn clear(&self, name: &str) -> Result<(), TableError> {
        MemoryEngine::default().clear(name)
    }

    fn suspect(&self) -> bool {
        false
    }

    fn close(&self) -> Result<(), TableError> {
        Ok(())
    }

    fn bytes(&self) -> u64 {
        0
    }
}

fn user() -> UserKey {
    UserKey::new(AccountId::parse("acc").unwrap(), Uri::parse("+4670001").unwrap())
}

fn post(n: u64) -> Command {
    let mut id = [0; 10];
    id[..8].copy_from_slice(&n.to_be_bytes());
    Command::Mailbox(MailboxCommand::Post(Post {
        to: user(),
        from: user(),
        mid: MessageId::from_parts(NOW, id),
        time: NOW,
        expires: NOW.plus(crs_types::limits::MESSAGE_RETENTION),
        body: Body::from(vec![7; BODY]),
        quota: Quota::default(),
    }))
}

fn ack(n: impl Iterator<Item = u64>) -> Command {
    Command::Mailbox(MailboxCommand::Ack(Ack { user: user(), n: n.collect(), time: NOW }))
}

#[test]
fn segments_go_with_their_last_body_and_no_others_are_looked_at() {
    let disk: Arc<dyn Disk> = Arc::new(FakeDisk::new());
    let wal = log(&disk);
    let table = Arc::new(Counting::default());
    let open = || mailbox(&disk, &wal, GROUP, Arc::new(CountingEngine(Arc::clone(&table))));
    let machine = open();
    let apply = |machine: &MailboxMachine, command: Command| {
        machine.apply(&[(1, &[command])], &Applied::default()).unwrap();
    };
    let segments = || disk.list(std::path::Path::new(&format!("bodies/{GROUP}"))).unwrap().len();
    // Five segments, the last of them open.
    (1..=4 * PER_SEGMENT + 1).for_each(|n| apply(&machine, post(n)));
    assert_eq!(segments(), 5);
    apply(&machine, ack(1..=1));
    table.rows.store(0, Ordering::Relaxed);
    apply(&machine, ack(2..=2));
    assert_eq!(table.rows.load(Ordering::Relaxed), 0, "the other segments were looked at");
    apply(&machine, ack(3..=PER_SEGMENT));
    assert_eq!(segments(), 4, "the first is empty");
    // The open one is empty too, but stays until it is not written to any more.
    apply(&machine, ack(4 * PER_SEGMENT + 1..=4 * PER_SEGMENT + 1));
    assert_eq!(segments(), 4);
    drop(machine);
    let machine = open();
    apply(&machine, ack(PER_SEGMENT + 1..=PER_SEGMENT + 1));
    assert_eq!(segments(), 3, "what an earlier run left goes at the first release");
}

/// One rotten record must not take those behind it along when its segment is emptied.
#[test]
fn a_damaged_segment_stays_while_somebody_needs_what_is_behind_the_damage() {
    let fake = FakeDisk::new();
    let disk: Arc<dyn Disk> = Arc::new(fake.clone());
    let wal = log(&disk);
    let machine = mailbox(&disk, &wal, GROUP, Arc::new(MemoryEngine::default()));
    let apply = |command| drop(machine.apply(&[(1, &[command])], &Applied::default()).unwrap());
    (1..=PER_SEGMENT + 1).for_each(|n| apply(post(n)));
    apply(ack(1..=PER_SEGMENT - 2));
    let readable = || {
        let rows = machine.table().range(b"i", b"j", usize::MAX).unwrap();
        let bodies = rows.iter().filter_map(|(key, value)| body_of(key, value).unwrap());
        bodies.filter(|name| machine.body(*name).unwrap().is_some()).count()
    };
    assert_eq!(readable(), 3);
    let [segment] = machine.sparse_segments().unwrap()[..] else { panic!("one to empty") };
    let folder = std::path::PathBuf::from(format!("bodies/{GROUP}"));
    fake.flip_bit(&folder.join(format!("{segment:016x}.seg")), 3 * BODY);
    while !machine.empty_segment(segment).unwrap() {}
    assert_eq!(readable(), 3, "intact bodies behind the damage");
    apply(ack(PER_SEGMENT - 1..=PER_SEGMENT));
    assert_eq!(disk.list(&folder).unwrap().len(), 1, "it goes with its last body");
}
