//! Limits of the running store: reached, and refused by name.

use std::sync::Arc;
use std::time::Duration;

use crs_storage::WriteError;
use crs_storage::command::mailbox::PostReply;
use crs_storage::store::{BLOB_MAX, PAGE_ITEMS_MAX, QUEUE_MAX};
use crs_storage::testing::FakeDisk;
use futures_util::future::join_all;

use crate::common::{config, open, post, user};

#[tokio::test]
async fn a_blob_over_its_limit_is_refused() {
    let store = open(&FakeDisk::new(), config()).await.unwrap();
    let refused = store.put_blob(Arc::new(vec![0; BLOB_MAX + 1])).await.unwrap_err();
    let limit = BLOB_MAX as u64;
    assert_eq!(refused, WriteError::TooLarge { limit, found: limit + 1 });
    // More than the log has room for: a blob does not go into the log.
    assert!(store.put_blob(Arc::new(vec![7; 4 << 20])).await.is_ok());
    store.close().await;
}

#[tokio::test]
async fn a_page_holds_no_more_than_its_items() {
    let store = open(&FakeDisk::new(), config()).await.unwrap();
    let posts = (0..PAGE_ITEMS_MAX as u32 + 3).map(|id| post(&store, 1, 2, id, vec![1]));
    for reply in join_all(posts).await {
        assert!(matches!(reply, Ok(PostReply::Stored { .. })), "{reply:?}");
    }
    for (asked, items) in [(usize::MAX, PAGE_ITEMS_MAX), (32, 32), (1, 1), (0, 1)] {
        let page = store.fetch(&user(2), 0, asked, u64::MAX).await.unwrap();
        assert_eq!((page.items.len(), page.more), (items, true), "{asked} were asked for");
    }
    let last = store.fetch(&user(2), PAGE_ITEMS_MAX as u64, 3, u64::MAX).await.unwrap();
    assert_eq!((last.items.len(), last.more), (3, false));
    store.close().await;
}

/// All posts are made in one go on the only thread: the group's task takes nothing meanwhile.
#[tokio::test]
async fn a_full_queue_says_busy_and_recovers() {
    let store = open(&FakeDisk::new(), config()).await.unwrap();
    let posts = (0..QUEUE_MAX as u32 + 50).map(|id| post(&store, 1, 2, id, vec![1]));
    let replies = join_all(posts).await;
    let busy = replies.iter().filter(|reply| **reply == Err(WriteError::Busy)).count();
    let stored = replies.iter().filter(|r| matches!(r, Ok(PostReply::Stored { .. }))).count();
    assert_eq!((stored, busy), (QUEUE_MAX, 50));
    assert!(matches!(post(&store, 1, 2, 999_999, vec![1]).await, Ok(PostReply::Stored { .. })));
    store.close().await;
}

/// Notes of reading wait in memory for the next second; beyond their limit they are dropped.
#[tokio::test]
async fn notes_of_reading_over_their_limit_are_dropped() {
    const PENDING_READS_MAX: u32 = 65_536;
    let store = open(&FakeDisk::new(), config()).await.unwrap();
    (0..=PENDING_READS_MAX).for_each(|n| store.note_read(&user(n)));
    for _ in 0..3_000 {
        if store.user(&user(PENDING_READS_MAX - 1)).await.unwrap().read.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(store.user(&user(PENDING_READS_MAX - 1)).await.unwrap().read.is_some());
    assert_eq!(store.user(&user(PENDING_READS_MAX)).await.unwrap().read, None);
    store.close().await;
}
