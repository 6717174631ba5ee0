//! Restarting: nothing that was confirmed is lost, on the fake disk and in real directories.

use std::sync::Arc;

use crs_storage::command::control::{BlacklistAdd, CreateAccount};
use crs_storage::command::mailbox::PostReply;
use crs_storage::command::{ControlCommand, Sealed};
use crs_storage::testing::{FakeDisk, Plan};
use crs_storage::{OpenError, Store, StoreConfig, Tables};
use crs_types::disk::OsDisk;
use crs_types::{AccountId, Timestamp};

use crate::common::{START, ack, config, inbox, inbox_of_len, mid, open, open_on, post, user};

fn create(id: &str) -> ControlCommand {
    ControlCommand::CreateAccount(CreateAccount {
        id: AccountId::parse(id).unwrap(),
        secret: Sealed::from(vec![1, 2, 3]),
        cms_key: None,
        time: Timestamp::from_millis(START),
    })
}

#[tokio::test]
async fn accounts_and_messages_survive_power_loss() {
    let disk = FakeDisk::new();
    let store = open(&disk, config()).await.unwrap();
    assert_eq!(store.propose_control(create("Police")).await.unwrap().copies, 1);
    let changes = *store.control_changes().borrow();
    assert_eq!(changes, 1);
    let bar = ControlCommand::BlacklistAdd(BlacklistAdd {
        account: AccountId::parse("POLICE").unwrap(),
        uri: user(9).uri,
        time: Timestamp::from_millis(START),
    });
    store.propose_control(bar).await.unwrap();
    assert!(store.propose_control(create("police")).await.unwrap().reply.into_result().is_err());
    for id in 0..20 {
        let body = vec![id as u8; if id % 3 == 0 { 20_000 } else { 100 }];
        assert_eq!(
            post(&store, 1, 2, id, body).await,
            Ok(PostReply::Stored { n: u64::from(id) + 1 })
        );
    }
    let before = inbox(&store, 2).await;
    assert_eq!(before.len(), 20);
    for disk in [disk.crash(0), disk.kill()] {
        let again = open(&disk, config()).await.unwrap();
        assert_eq!(inbox(&again, 2).await, before);
        assert!(again.control().account(&AccountId::parse("police").unwrap()).is_some());
        assert_eq!(post(&again, 1, 2, 3, vec![3; 20_000]).await, Ok(PostReply::Duplicate { n: 4 }));
        assert_eq!(post(&again, 1, 2, 3, vec![4; 20_000]).await, Ok(PostReply::IdConflict));
        assert_eq!(post(&again, 1, 2, 99, vec![]).await, Ok(PostReply::Stored { n: 21 }));
        again.close().await;
    }
    store.close().await;
}

#[tokio::test]
async fn an_ack_removes_content_and_brings_the_sender_one_receipt() {
    let disk = FakeDisk::new();
    let store = open(&disk, config()).await.unwrap();
    // Users of both groups, so that receipts cross between them.
    for to in 2..10 {
        post(&store, 1, to, to, vec![1; 5_000]).await.unwrap();
        assert_eq!(ack(&store, to, vec![1, 7]).await, Ok(1));
        assert_eq!(ack(&store, to, vec![1]).await, Ok(0), "repeating is harmless");
        assert!(inbox(&store, to).await.is_empty());
    }
    let receipts = inbox_of_len(&store, 1, 8).await;
    assert_eq!(receipts.len(), 8);
    let mut mids: Vec<_> = receipts.iter().map(|(_, mid, _)| *mid).collect();
    mids.sort();
    assert_eq!(mids, (2..10).map(mid).collect::<Vec<_>>());
    let counters = store.counters(None).await.unwrap();
    let of = |n| counters.iter().find(|line| line.user == user(n)).unwrap().clone();
    assert_eq!((of(1).posted, of(1).delivered), (8, 8));
    assert_eq!((of(2).posted, of(2).waiting), (0, 0));
    let again = open(&disk.crash(0), config()).await.unwrap();
    assert_eq!(inbox_of_len(&again, 1, 8).await.len(), 8);
    again.close().await;
    store.close().await;
}

#[tokio::test]
async fn snapshots_replace_the_log() {
    let disk = FakeDisk::new();
    let store = open(&disk, config()).await.unwrap();
    for id in 0..60 {
        post(&store, 1, 2, id, vec![7; 6_000]).await.unwrap();
        if id % 2 == 0 {
            ack(&store, 2, vec![u64::from(id) + 1]).await.unwrap();
        }
    }
    let before = inbox(&store, 2).await;
    assert_eq!(before.len(), 30);
    let group = store.group_of(&user(2).uri);
    store.snapshot(group).await;
    for _ in 0..500 {
        if store.status().groups[usize::from(group.0)].log_bytes < 10_000 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert!(store.status().groups[usize::from(group.0)].log_bytes < 10_000, "the log is purged");
    post(&store, 1, 2, 100, vec![8; 6_000]).await.unwrap();
    let again = open(&disk.crash(0), config()).await.unwrap();
    let after = inbox(&again, 2).await;
    assert_eq!(after[..30], before[..]);
    assert_eq!(after.len(), 31);
    again.close().await;
    store.close().await;
}

/// The process dies at every step of a snapshot and the purge behind it. A group that gets no
/// further entry must not keep its log, nor be written anew again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_a_crash_kept_from_being_purged_is_purged_after_it() {
    let patient = || StoreConfig { snapshot_bytes: 4 << 20, ..config() };
    let disk = FakeDisk::new();
    let store = open(&disk, patient()).await.unwrap();
    let group = store.group_of(&user(2).uri);
    for id in 0..20 {
        post(&store, 1, 2, id, vec![7; 3_000]).await.unwrap();
    }
    store.close().await;
    for die_at in 0..12 {
        let disk = disk.kill();
        let store = open(&disk, patient()).await.unwrap();
        disk.plan(Plan { die_at: Some(die_at), ..Plan::default() });
        store.snapshot(group).await;
        let killed = disk.kill();
        store.close().await;
        let again = open(&killed, patient()).await.unwrap();
        let log = |store: &Store| store.status().groups[usize::from(group.0)].log_bytes;
        again.snapshot(group).await;
        for _ in 0..1_000 {
            if log(&again) < 10_000 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        assert!(log(&again) < 10_000, "dead before step {die_at}: the log is not purged");
        assert_eq!(inbox(&again, 2).await.len(), 20);
        again.close().await;
    }
}

#[tokio::test]
async fn another_number_of_groups_or_another_node_is_refused_by_name() {
    let disk = FakeDisk::new();
    open(&disk, config()).await.unwrap().close().await;
    let more = StoreConfig { mailbox_groups: 4, ..config() };
    let refused = open(&disk, more).await.unwrap_err();
    assert!(matches!(refused, OpenError::Groups { stored: 2, configured: 4 }), "{refused}");
    let other = StoreConfig { node: crs_types::NodeId(2), ..config() };
    let refused = open(&disk, other).await.unwrap_err();
    assert!(matches!(refused, OpenError::Node { stored: 1, configured: 2 }), "{refused}");
}

/// Tables are a cache: removing them while the node is down costs nothing but time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_in_sled_are_kept_and_when_removed_or_damaged_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(OsDisk::new(dir.path()));
    let config = || StoreConfig { tables: Tables::Sled, ..config() };
    let store = open_on(disk.clone(), config()).await.unwrap();
    for id in 0..40 {
        post(&store, 1, 2, id, vec![7; 6_000]).await.unwrap();
    }
    store.snapshot(store.group_of(&user(2).uri)).await;
    for id in 40..50 {
        post(&store, 1, 2, id, vec![7; 100]).await.unwrap();
    }
    ack(&store, 2, vec![1, 45]).await.unwrap();
    let before = inbox(&store, 2).await;
    assert_eq!(before.len(), 48);
    store.close().await;

    let store = open_on(disk.clone(), config()).await.unwrap();
    assert_eq!(store.status().rebuilds, 0, "a clean close is trusted");
    assert_eq!(inbox(&store, 2).await, before);
    store.close().await;

    std::fs::remove_dir_all(dir.path().join("tables")).unwrap();
    let store = open_on(disk.clone(), config()).await.unwrap();
    assert_eq!(inbox(&store, 2).await, before);
    assert!(store.status().rebuilds > 0);
    store.close().await;

    std::fs::write(dir.path().join("tables/db"), vec![0x5a; 300_000]).unwrap();
    let store = open_on(disk.clone(), config()).await.unwrap();
    assert_eq!(inbox(&store, 2).await, before);
    assert_eq!(post(&store, 1, 2, 3, vec![7; 6_000]).await, Ok(PostReply::Duplicate { n: 4 }));
    store.close().await;
}
