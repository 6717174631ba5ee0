//! The log against a disk that forgets, tears, fills up and fails.

use std::path::Path;
use std::sync::Arc;

use crs_types::disk::Disk;
use crs_types::{GroupId, SystemClock};
use tokio::sync::oneshot;

use super::*;
use crate::testing::{FakeDisk, Plan};

fn config() -> WalConfig {
    WalConfig {
        segment_bytes: 8_192,
        reserve_bytes: 16_384,
        cache_bytes: 0,
        ..WalConfig::default()
    }
}

fn open(disk: &FakeDisk) -> Result<Wal, WalError> {
    Wal::open(Arc::new(disk.clone()), Arc::new(SystemClock::new()), &config())
}

fn mark(index: u64) -> LogMark {
    LogMark { term: 1, node: 1, index }
}

async fn append(wal: &GroupWal, index: u64, bytes: &[u8]) -> Result<(), WalError> {
    let (tx, rx) = oneshot::channel();
    let done: Done = Box::new(move |result| drop(tx.send(result)));
    wal.append(vec![(mark(index), bytes.into())], done).await;
    rx.await.unwrap()
}

async fn contents(wal: &GroupWal) -> Vec<(u64, Vec<u8>)> {
    let found = wal.read(0..u64::MAX, usize::MAX).await.unwrap();
    found.into_iter().map(|(mark, bytes)| (mark.index, bytes.to_vec())).collect()
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_power_loss() {
    let disk = FakeDisk::new();
    let wal = open(&disk).unwrap();
    let (one, two) = (wal.group(GroupId(1)), wal.group(GroupId(2)));
    one.save_vote(b"vote".to_vec()).await.unwrap();
    for index in 0..40 {
        append(&one, index, &vec![index as u8; 700]).await.unwrap();
        append(&two, index, b"two").await.unwrap();
    }
    one.truncate(mark(38)).await.unwrap();
    append(&one, 38, b"again").await.unwrap();
    let (before, before_two) = (contents(&one).await, contents(&two).await);
    let wal = open(&disk.crash(0)).unwrap();
    let one = wal.group(GroupId(1));
    assert_eq!(contents(&one).await, before);
    assert_eq!(before.len(), 39);
    assert_eq!(before[38], (38, b"again".to_vec()));
    assert_eq!(contents(&wal.group(GroupId(2))).await, before_two);
    assert_eq!(one.vote().as_deref(), Some(b"vote".as_slice()));
    assert_eq!(wal.status().torn_tails, 0);
}

/// CS-05: the last write cut at every byte.
#[tokio::test]
async fn a_torn_tail_is_cut_wherever_it_is_torn() {
    let disk = FakeDisk::new();
    let wal = open(&disk).unwrap();
    let group = wal.group(GroupId(3));
    append(&group, 0, b"first").await.unwrap();
    let synced = contents(&group).await;
    // The next sync fails, so this record is written and never acknowledged.
    disk.plan(Plan { fail_sync: Some(1), ..Plan::default() });
    let last: Vec<u8> = (0..1_500u32).map(|i| (i % 251) as u8 | 1).collect();
    append(&group, 1, &last).await.unwrap_err();
    let length = disk.last_write_len();
    assert!(length > 1_500);
    for torn in (0..=length).filter(|torn| *torn < 200 || torn % 64 == 0 || *torn + 200 > length) {
        let crashed = disk.crash(torn);
        let wal = open(&crashed).unwrap();
        let group = wal.group(GroupId(3));
        let found = contents(&group).await;
        // Padding may be missing; then the record is whole and may be there or not.
        let whole = found.len() == 2;
        assert!(whole || found == synced, "torn at {torn}");
        if whole {
            assert_eq!(found[1], (1, last.clone()));
        }
        assert_eq!(wal.status().torn_tails, u64::from(torn > 0 && !whole), "torn at {torn}");
        // The log goes on, and holds after another power loss.
        append(&group, found.len() as u64, b"on").await.unwrap();
        let again = open(&crashed.crash(0)).unwrap();
        assert_eq!(contents(&again.group(GroupId(3))).await.len(), found.len() + 1);
    }
}

/// CS-06, CS-07: a flipped bit in what was durable is refused, naming file and place.
#[tokio::test]
async fn damage_in_the_middle_is_refused() {
    let disk = FakeDisk::new();
    let wal = open(&disk).unwrap();
    let group = wal.group(GroupId(1));
    for index in 0..4 {
        append(&group, index, &[7; 100]).await.unwrap();
    }
    wal.close();
    let path = Path::new("wal/0000000000000001.wal");
    // Three records of 32 + 24 + 100 bytes, padded to 160, have a synced successor.
    for byte in (64..64 + 3 * 160).step_by(5) {
        let damaged = disk.kill();
        damaged.flip_bit(path, byte);
        let in_padding = (byte - 64) % 160 >= 156;
        match open(&damaged) {
            Err(WalError::Damaged { file, offset, .. }) => {
                assert_eq!(Path::new(&file), path);
                assert_eq!(offset, 64 + (byte as u64 - 64) / 160 * 160);
            }
            Ok(_) => assert!(in_padding, "byte {byte} was not noticed"),
            Err(other) => panic!("byte {byte}: {other}"),
        }
    }
}

#[tokio::test]
async fn a_missing_segment_is_refused() {
    let disk = FakeDisk::new();
    let wal = open(&disk).unwrap();
    let group = wal.group(GroupId(1));
    for index in 0..30 {
        append(&group, index, &[7; 1_000]).await.unwrap();
    }
    wal.close();
    let disk = disk.kill();
    disk.remove_tree(Path::new("wal/0000000000000002.wal"));
    assert!(matches!(open(&disk), Err(WalError::Damaged { .. })));
}

/// CS-08: a failed sync is final.
#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged() {
    let disk = FakeDisk::new();
    let wal = open(&disk).unwrap();
    let group = wal.group(GroupId(1));
    append(&group, 0, b"fine").await.unwrap();
    let failed = wal.failed();
    disk.plan(Plan { fail_sync: Some(1), ..Plan::default() });
    assert!(append(&group, 1, b"lost").await.is_err());
    assert!(failed.borrow().is_some());
    let syncs = disk.syncs();
    assert!(append(&group, 2, b"lost").await.is_err());
    assert!(group.save_vote(b"v".to_vec()).await.is_err());
    assert_eq!(disk.syncs(), syncs, "the sync is not retried");
}

#[tokio::test]
async fn purged_segments_go_and_small_records_move_on() {
    let disk = FakeDisk::new();
    let wal = open(&disk).unwrap();
    let (one, two) = (wal.group(GroupId(1)), wal.group(GroupId(2)));
    one.save_vote(b"one".to_vec()).await.unwrap();
    two.save_vote(b"two".to_vec()).await.unwrap();
    append(&two, 0, b"old").await.unwrap();
    for index in 0..50 {
        append(&one, index, &[1; 1_000]).await.unwrap();
    }
    let full = wal.status().total_bytes;
    one.purge(mark(45)).await.unwrap();
    assert_eq!(wal.holding_oldest(), [GroupId(2)], "an idle group holds the oldest segment");
    assert!(wal.status().total_bytes >= full);
    two.purge(mark(0)).await.unwrap();
    assert!(wal.status().total_bytes < full / 2);
    for disk in [disk.crash(0), disk.kill()] {
        let wal = open(&disk).unwrap();
        let (one, two) = (wal.group(GroupId(1)), wal.group(GroupId(2)));
        assert_eq!(one.vote().as_deref(), Some(b"one".as_slice()));
        assert_eq!(two.vote().as_deref(), Some(b"two".as_slice()));
        assert_eq!(one.ends(), (Some(mark(45)), Some(mark(49))));
        assert_eq!(two.ends(), (Some(mark(0)), Some(mark(0))));
        assert_eq!(contents(&one).await.len(), 4);
    }
}

/// CS-09 for the log: admission turns false before a write could fail; what was admitted is
/// written; a restart on the full disk works; the log goes on when space comes back.
#[tokio::test]
async fn a_full_disk_is_met_at_admission_only() {
    let disk = FakeDisk::new();
    let wal = open(&disk).unwrap();
    let group = wal.group(GroupId(1));
    disk.plan(Plan { free: Some(20_000), ..Plan::default() });
    let mut index = 0;
    while wal.has_room(1_000, false) {
        append(&group, index, &[1; 900]).await.unwrap();
        index += 1;
        assert!(index < 100, "the disk must fill up");
    }
    let posts = index;
    while wal.has_room(1_000, true) {
        append(&group, index, &[2; 900]).await.unwrap();
        index += 1;
        assert!(index < 200, "the reserve must end");
    }
    assert!(index > posts, "draining goes on when posts are refused");
    assert!(!wal.status().reserve_held);
    wal.close();
    let full = disk.crash(0);
    full.plan(Plan { free: Some(0), ..Plan::default() });
    let wal = open(&full).unwrap();
    let group = wal.group(GroupId(1));
    assert_eq!(contents(&group).await.len() as u64, index);
    assert!(!wal.has_room(1_000, false));
    full.plan(Plan::default());
    wal.tend();
    append(&group, index, b"again").await.unwrap();
    assert!(wal.has_room(1_000, false));
    assert!(wal.status().reserve_held);
}

/// Numbers that have no successor are no log's: refused by name, not computed with.
#[tokio::test]
async fn a_mark_at_the_end_of_all_numbers_is_refused() {
    for kind in [record::Kind::Append, record::Kind::Truncate, record::Kind::Purge] {
        let disk = FakeDisk::new();
        let wal = open(&disk).unwrap();
        append(&wal.group(GroupId(1)), 0, b"first").await.unwrap();
        wal.close();
        let disk = disk.kill();
        let path = Path::new("wal/0000000000000001.wal");
        let mut bytes = Vec::new();
        record::encode(&mut bytes, 2, 1, 1, kind, &[&mark(u64::MAX).to_bytes()]);
        let second = 64 + record::stored_len(24 + 5) as u64;
        disk.open(path, false).unwrap().write_at(second, &bytes).unwrap();
        let refused = open(&disk).err();
        assert!(
            matches!(refused, Some(WalError::Damaged { offset, .. }) if offset == second),
            "{kind:?}: {refused:?}"
        );
    }
}
