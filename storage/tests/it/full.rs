//! CS-09: the disk full at every point: a named error before the confirmation, nothing confirmed
//! is lost, acks still work, the store opens on the full disk and goes on when space is freed.

use std::time::Duration;

use crs_storage::command::mailbox::PostReply;
use crs_storage::testing::{FakeDisk, Plan};
use crs_storage::{OpenError, Store, StoreConfig, WriteError};

use crate::common::{ack, config, inbox, mid, open, post, user};

/// Posts until the disk is full; returns the confirmed ids.
async fn fill(store: &Store) -> Vec<u32> {
    let mut confirmed = Vec::new();
    for id in 0..400 {
        let body = vec![1; if id % 2 == 0 { 12_000 } else { 1_000 }];
        match tokio::time::timeout(Duration::from_secs(3), post(store, 1, 2, id, body)).await {
            Ok(Ok(PostReply::Stored { .. })) => confirmed.push(id),
            Ok(Err(WriteError::DiskFull(_))) => return confirmed,
            Ok(other) => panic!("post {id}: {other:?}"),
            // Applying waits for space; the sender gets no confirmation.
            Err(_) => return confirmed,
        }
    }
    panic!("the disk never got full");
}

async fn eventually_posts(store: &Store, id: u32) -> bool {
    for _ in 0..400 {
        let limit = Duration::from_secs(11);
        match tokio::time::timeout(limit, post(store, 1, 2, id, vec![9; 500])).await {
            Ok(Ok(PostReply::Stored { .. } | PostReply::Duplicate { .. })) => return true,
            Ok(Ok(_) | Err(_)) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fills_up_costs_nothing_confirmed() {
    for free in [0, 10_000, 200_000, 300_000, 600_000, 900_000] {
        let disk = FakeDisk::new();
        let store = open(&disk, config()).await.unwrap();
        disk.plan(Plan { free: Some(free), ..Plan::default() });
        let confirmed = fill(&store).await;
        // Restart on the full disk, after losing power.
        let full = disk.crash(0);
        full.plan(Plan { free: Some(0), ..Plan::default() });
        let limit = Duration::from_secs(10);
        let opening = tokio::time::timeout(limit, open(&full, config())).await;
        let again = match opening {
            Ok(again) => again.unwrap_or_else(|e| panic!("{free} bytes free: {e}")),
            Err(_) => panic!("{free} bytes free: does not open on the full disk"),
        };
        let found: Vec<_> = inbox(&again, 2).await.into_iter().map(|(_, mid, _)| mid).collect();
        for id in &confirmed {
            assert!(found.contains(&mid(*id)), "{free} bytes free: {id} is lost");
        }
        if let Some((n, ..)) = inbox(&again, 2).await.first() {
            assert_eq!(ack(&again, 2, vec![*n]).await, Ok(1), "{free} bytes free: acks work");
        }
        full.plan(Plan::default());
        assert!(eventually_posts(&again, 999).await, "{free} bytes free: does not resume");
        again.close().await;
        disk.plan(Plan::default());
        assert!(eventually_posts(&store, 998).await, "{free} bytes free: does not resume alive");
        store.close().await;
    }
}

#[tokio::test]
async fn posts_are_refused_by_name_below_the_threshold() {
    let disk = FakeDisk::new();
    let limited = StoreConfig { min_free_bytes: 1 << 41, ..config() };
    let store = open(&disk, limited).await.unwrap();
    let mut refused = false;
    for id in 0..3_000 {
        match post(&store, 1, 2, id, vec![1]).await {
            Err(WriteError::DiskFull(text)) => {
                assert!(text.contains("are kept free"), "{text}");
                refused = true;
                break;
            }
            Ok(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused, "the disk is measured every second");
    store.close().await;
}

#[tokio::test]
async fn a_command_that_is_too_large_is_refused() {
    let disk = FakeDisk::new();
    let store = open(&disk, config()).await.unwrap();
    let limit = crs_storage::store::COMMAND_MAX as u64;
    let refused = post(&store, 1, 2, 1, vec![0; 300_000]).await.unwrap_err();
    assert!(matches!(refused, WriteError::TooLarge { limit: l, .. } if l == limit), "{refused}");
    assert_eq!(post(&store, 1, 2, 2, vec![0; 70_000]).await, Ok(PostReply::BodyTooLong));
    store.close().await;
}

/// CS-09 in a snapshot: a full disk makes it wait, not the store fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_finds_no_room_is_made_later() {
    let disk = FakeDisk::new();
    // The store makes none by itself.
    let patient = || StoreConfig { snapshot_bytes: 4 << 20, ..config() };
    let store = open(&disk, patient()).await.unwrap();
    for id in 0..10 {
        post(&store, 1, 2, id, vec![1; 9_000]).await.unwrap();
    }
    let group = store.group_of(&user(2).uri);
    let covered = |store: &Store| store.status().groups[usize::from(group.0)].snapshot;
    disk.plan(Plan { free: Some(10_000), ..Plan::default() });
    store.snapshot(group).await;
    assert_eq!((covered(&store), store.failed().borrow().clone()), (0, None));
    assert_eq!(ack(&store, 2, vec![1]).await, Ok(1), "acks work");
    let full = disk.crash(0);
    full.plan(Plan { free: Some(0), ..Plan::default() });
    let again = open(&full, patient()).await.unwrap();
    assert_eq!(inbox(&again, 2).await.len(), 9);
    again.close().await;
    disk.plan(Plan::default());
    store.snapshot(group).await;
    for _ in 0..500 {
        if covered(&store) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(covered(&store) > 0, "it is made when there is room");
    store.close().await;
}

/// CS-10: no inode is left, though there is space.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_takes_no_more_files_costs_nothing_confirmed() {
    for names in [0, 1, 2] {
        let disk = FakeDisk::new();
        let store = open(&disk, config()).await.unwrap();
        disk.plan(Plan { names: Some(names), ..Plan::default() });
        let confirmed = fill(&store).await;
        let full = disk.crash(0);
        full.plan(Plan { names: Some(0), ..Plan::default() });
        let again = open(&full, config()).await.unwrap();
        let found: Vec<_> = inbox(&again, 2).await.into_iter().map(|(_, mid, _)| mid).collect();
        assert!(confirmed.iter().all(|id| found.contains(&mid(*id))), "{names}: lost");
        assert_eq!(ack(&again, 2, vec![1]).await, Ok(1), "{names}: acks work");
        full.plan(Plan::default());
        assert!(eventually_posts(&again, 999).await, "{names}: does not resume");
        again.close().await;
        disk.plan(Plan::default());
        assert!(eventually_posts(&store, 998).await, "{names}: does not resume alive");
        store.close().await;
    }
}

/// CS-10: remounted read-only.
#[tokio::test]
async fn a_disk_that_may_only_be_read_stops_the_store_and_is_refused_by_name() {
    let disk = FakeDisk::new();
    let store = open(&disk, config()).await.unwrap();
    post(&store, 1, 2, 1, vec![1]).await.unwrap();
    let mut failed = store.failed();
    disk.plan(Plan { read_only: true, ..Plan::default() });
    assert!(post(&store, 1, 2, 2, vec![1]).await.is_err());
    failed.wait_for(Option::is_some).await.unwrap();
    store.close().await;
    let still = disk.kill();
    still.plan(Plan { read_only: true, ..Plan::default() });
    let refused = open(&still, config()).await.map(|_| ()).unwrap_err();
    assert!(matches!(&refused, OpenError::Io { path, .. } if path.starts_with("wal")), "{refused}");
    still.plan(Plan::default());
    let again = open(&still, config()).await.unwrap();
    assert_eq!(inbox(&again, 2).await.first().map(|(_, mid, _)| *mid), Some(mid(1)));
    again.close().await;
}

/// CS-10: what is there of a data directory is not taken for a fresh one.
#[tokio::test]
async fn a_log_without_its_meta_file_is_refused() {
    let disk = FakeDisk::new();
    open(&disk, config()).await.unwrap().close().await;
    let robbed = disk.kill();
    robbed.remove_tree(std::path::Path::new("store.meta"));
    let refused = open(&robbed, config()).await.map(|_| ()).unwrap_err();
    assert!(
        matches!(&refused, OpenError::Damaged { file, .. } if file == "store.meta"),
        "{refused}"
    );
}
