//! A disk that stalls without failing: whoever waits is told in time, and nothing is lost.

use std::sync::Arc;
use std::time::Duration;

use crs_storage::command::mailbox::PostReply;
use crs_storage::testing::StallingDisk;
use crs_storage::{StoreConfig, WriteError};
use tokio::time::Instant;

use crate::common::{config, inbox, open_on, post};

/// The limit of a confirmation.
const CONFIRM_SECONDS: u64 = 10;

/// To oneself: one group, one entry. A post to another group is claimed in the sender's first.
#[tokio::test]
async fn a_confirmation_that_does_not_come_is_told_and_the_repetition_finds_out() {
    let disk = StallingDisk::default();
    let store = open_on(Arc::new(disk.clone()), config()).await.unwrap();
    let stall = disk.stall();
    tokio::time::pause();
    let began = Instant::now();
    let outcome = post(&store, 2, 2, 7, vec![1]).await;
    assert_eq!(outcome, Err(WriteError::Unknown));
    assert_eq!(began.elapsed().as_secs(), CONFIRM_SECONDS);
    tokio::time::resume();
    drop(stall);
    let repeated = post(&store, 2, 2, 7, vec![1]).await;
    assert!(matches!(repeated, Ok(PostReply::Duplicate { .. })), "{repeated:?}");
    assert_eq!(inbox(&store, 2).await.len(), 1);
    store.close().await;
}

#[tokio::test]
async fn a_group_with_many_entries_gets_a_snapshot_however_small_they_are() {
    assert_eq!(StoreConfig::default().snapshot_entries, 50_000);
    let few = StoreConfig { snapshot_entries: 20, snapshot_bytes: 1 << 30, ..config() };
    let store = open_on(Arc::new(StallingDisk::default()), few).await.unwrap();
    for id in 0..21 {
        post(&store, 2, 2, id, vec![1]).await.unwrap();
    }
    let snapshots = || store.status().groups.iter().filter(|group| group.snapshot > 0).count();
    // The store looks round once a second.
    for _ in 0..3_000 {
        if snapshots() > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(snapshots(), 1, "only the group of that user");
    store.close().await;
}
