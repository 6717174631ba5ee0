//! Taking over a snapshot: power loss at every step leaves all or nothing, damage is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crs_types::disk::Disk;
use crs_types::{AccountId, GroupId, MessageId, Timestamp, Uri};
use openraft::{CommittedLeaderId, Entry, EntryPayload, LogId};

use super::{log, mailbox};
use crate::command::mailbox::{Post, Quota};
use crate::command::{Body, MailboxCommand, UserKey};
use crate::raft::types::{Batch, Command, TypeConfig};
use crate::raft::{GroupState, Machine, StateError};
use crate::table::memory::MemoryEngine;
use crate::testing::{FakeDisk, Plan};
use crate::wal::Wal;

const GROUP: GroupId = GroupId(1);
const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// Tables are fresh every time, as after a power cut.
fn open(disk: &FakeDisk) -> (Wal, GroupState) {
    try_open(disk).unwrap()
}

fn try_open(disk: &FakeDisk) -> Result<(Wal, GroupState), StateError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let wal = log(&disk);
    let machine = mailbox(&disk, &wal, GROUP, Arc::new(MemoryEngine::default()));
    let state = GroupState::open(
        GROUP,
        Machine::Mailbox(Box::new(machine)),
        false,
        disk,
        wal.group(GROUP),
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
        Box::new(|_| {}),
    );
    Ok((wal, state?))
}

fn entry(index: u64) -> Entry<TypeConfig> {
    let user = |n: u64| {
        let uri = Uri::parse(&format!("+467{n:07}")).unwrap();
        UserKey::new(AccountId::parse("acc").unwrap(), uri)
    };
    let post = Post {
        to: user(index % 3),
        from: user(9),
        mid: MessageId::from_parts(NOW, [index as u8; 10]),
        time: NOW,
        expires: NOW.plus(crs_types::limits::MESSAGE_RETENTION),
        body: Body::from(vec![index as u8; 5_000]),
        quota: Quota::default(),
    };
    let command = Command::Mailbox(MailboxCommand::Post(post));
    let log_id = LogId::new(CommittedLeaderId::new(1, 1), index);
    Entry { log_id, payload: EntryPayload::Normal(Batch(Arc::new(vec![command]))) }
}

fn items(state: &GroupState) -> usize {
    let Machine::Mailbox(machine) = &state.machine else { return 0 };
    machine.table().range(b"i", b"j", usize::MAX).unwrap().len()
}

#[test]
fn power_loss_at_every_step_of_an_install_leaves_all_or_nothing() {
    let source = FakeDisk::new();
    let (_wal, state) = open(&source);
    state.apply(&(1..=20).map(entry).collect::<Vec<_>>()).unwrap();
    let (meta, made) = state.make_snapshot().unwrap();
    let bytes = source.read(&made.path).unwrap();

    let (mut die_at, mut kept) = (0, 0);
    loop {
        let target = FakeDisk::new();
        let (_wal, state) = open(&target);
        let mut file = state.receiving();
        file.disk.open(&file.path, true).unwrap().write_at(0, &bytes).unwrap();
        file.length = bytes.len() as u64;
        target.plan(Plan { die_at: Some(die_at), ..Plan::default() });
        let installed = state.install(&meta, &file).is_ok();
        let finished = !target.dead();
        let (_wal, again) = open(&target.crash(0));
        let found = (again.applied().0, items(&again));
        if found == (meta.last_log_id, 20) {
            kept += 1;
        } else {
            assert_eq!(found, (None, 0), "dead before step {die_at}");
            assert!(!installed, "dead before step {die_at}: installed and lost");
        }
        if finished {
            break;
        }
        die_at += 1;
    }
    assert!(die_at >= 3 && kept >= 1, "{die_at} steps, kept {kept} times");
}

/// A snapshot that is being taken when the tables are made anew would lack what was not copied yet.
#[test]
fn a_snapshot_is_given_up_when_the_tables_are_made_anew() {
    let disk = FakeDisk::new();
    let (_wal, state) = open(&disk);
    let Machine::Mailbox(machine) = &state.machine else { panic!("a mailbox group") };
    machine.begin_view().unwrap();
    assert!(machine.next_view().unwrap().is_some());
    state.broken.store(true, Ordering::Release);
    state.heal().unwrap();
    assert_eq!(machine.next_view().unwrap(), None);
    state.apply(&(1..=3).map(entry).collect::<Vec<_>>()).unwrap();
    assert!(state.make_snapshot().is_ok(), "the next one is whole");
}

/// Tables that cannot be brought to where they were are not whole.
#[test]
fn a_rebuild_that_misses_entries_fails() {
    let disk = FakeDisk::new();
    let (_wal, state) = open(&disk);
    // Applied, and in no log.
    state.apply(&(1..=3).map(entry).collect::<Vec<_>>()).unwrap();
    state.broken.store(true, Ordering::Release);
    let failed = state.heal().unwrap_err();
    assert!(matches!(failed, StateError::Gap { expected: 0, found: None }), "{failed}");
}

/// CS-06: a flipped bit anywhere in a snapshot is noticed by who is sent it and by who made it.
#[test]
fn a_damaged_snapshot_is_refused_wherever_the_damage_is() {
    let source = FakeDisk::new();
    let (_wal, state) = open(&source);
    state.apply(&(1..=3).map(entry).collect::<Vec<_>>()).unwrap();
    let (meta, made) = state.make_snapshot().unwrap();
    let bytes = source.read(&made.path).unwrap();
    let target = FakeDisk::new();
    let (_wal, state) = open(&target);
    // All of the head, then a byte here and there: a prime step meets every place of a frame.
    for byte in (0..bytes.len()).filter(|byte| *byte < 512 || byte % 31 == 0) {
        let damaged = source.kill();
        damaged.flip_bit(&made.path, byte);
        let refused = try_open(&damaged).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains(&made.path.display().to_string()), "byte {byte}: {refused:?}");
        let mut file = state.receiving();
        let content = damaged.read(&made.path).unwrap();
        file.disk.open(&file.path, true).unwrap().write_at(0, &content).unwrap();
        file.length = content.len() as u64;
        assert!(state.install(&meta, &file).is_err(), "byte {byte} was installed");
        assert_eq!((state.applied().0, items(&state)), (None, 0), "byte {byte}");
    }
}
