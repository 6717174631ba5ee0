//! Disk space of bodies: segments that hold little are emptied, whatever happens meanwhile.

use std::sync::Arc;

use crs_storage::testing::{FakeDisk, Plan};
use crs_storage::{Store, StoreConfig, Tables};
use crs_types::disk::OsDisk;

use crate::common::{ack, config, inbox, open, open_on, post, user};

const LENGTH: usize = 9_000;
/// Of 40 bodies in segments of about seven, these are never fetched.
const KEPT: [u32; 4] = [0, 10, 11, 30];

fn body(id: u32) -> Vec<u8> {
    vec![id as u8 + 1; LENGTH]
}

async fn fill(store: &Store) {
    for id in 0..40 {
        post(store, 1, 2, id, body(id)).await.unwrap();
    }
    let acked = (0..40).filter(|id| !KEPT.contains(id)).map(|id| u64::from(id) + 1);
    ack(store, 2, acked.collect()).await.unwrap();
    store.snapshot(store.group_of(&user(2).uri)).await;
}

async fn check(store: &Store, when: &str) {
    let found = inbox(store, 2).await;
    let found: Vec<_> = found.into_iter().map(|(n, _, body)| (n, body.unwrap())).collect();
    let numbers: Vec<u32> = found.iter().map(|(n, _)| *n as u32 - 1).collect();
    assert_eq!(numbers, KEPT, "{when}");
    for (id, (_, found)) in KEPT.into_iter().zip(&found) {
        assert_eq!(found.as_bytes(), body(id), "{when}: body {id}");
    }
}

/// Power is lost, or the process killed, at every step of emptying segments.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_that_hold_little_are_emptied_and_no_crash_loses_a_body() {
    let disk = FakeDisk::new();
    let store = open(&disk, config()).await.unwrap();
    fill(&store).await;
    let before = store.status().body_bytes;
    assert!(before > 3 * 64_000, "one body keeps each of {before} bytes of segments");
    store.close().await;
    let mut die_at = 0;
    loop {
        let disk = disk.kill();
        let store = open(&disk, config()).await.unwrap();
        disk.plan(Plan { die_at: Some(die_at), ..Plan::default() });
        store.compact().await;
        let dead = disk.dead();
        check(&store, &format!("dead before step {die_at}, alive")).await;
        for after in [disk.crash(0), disk.crash(5_000), disk.kill()] {
            let again = open(&after, config()).await.unwrap();
            check(&again, &format!("dead before step {die_at}, restarted")).await;
            again.close().await;
        }
        if !dead {
            let left = store.status().body_bytes;
            assert!(left < 2 * KEPT.len() as u64 * LENGTH as u64, "{left} of {before} bytes left");
            store.close().await;
            break;
        }
        store.close().await;
        die_at += 1;
    }
    assert!(die_at > 10, "{die_at} steps");
}

#[tokio::test]
async fn segments_are_emptied_beside_tables_that_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(OsDisk::new(dir.path()));
    let config = || StoreConfig { tables: Tables::Sled, ..config() };
    let store = open_on(disk.clone(), config()).await.unwrap();
    fill(&store).await;
    store.compact().await;
    store.compact().await;
    check(&store, "after compacting").await;
    assert!(store.status().body_bytes < 2 * KEPT.len() as u64 * LENGTH as u64);
    store.close().await;
    let store = open_on(disk, config()).await.unwrap();
    check(&store, "after a restart").await;
    ack(&store, 2, KEPT.iter().map(|id| u64::from(*id) + 1).collect()).await.unwrap();
    assert!(inbox(&store, 2).await.is_empty());
    store.close().await;
}
