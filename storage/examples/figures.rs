//! Figures and trials that need a real directory, for a person to run and read:
//! `CRS_TEST_DIR=<dir> cargo run -p crs-storage --release --example figures -- log|store|full-disk`.
//! Without `CRS_TEST_DIR` a directory of its own is used; `full-disk` needs a small file system.
#![allow(clippy::unwrap_used, reason = "a trial that cannot go on says so by panicking")]
#![allow(clippy::print_stdout, reason = "its figures go to the terminal")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crs_storage::command::mailbox::PostReply;
use crs_storage::wal::{Done, LogMark, Wal, WalConfig};
use crs_storage::{StoreConfig, Tables, WriteError};
use crs_types::disk::OsDisk;
use crs_types::{Clock, GroupId, SystemClock};
use tokio::sync::oneshot;

#[path = "../tests/it/common.rs"]
#[allow(dead_code, reason = "shared with the integration tests, which use the rest")]
mod common;

use common::{ack, config, inbox, mid, open_on, post, user};

#[tokio::main(worker_threads = 2)]
async fn main() -> std::process::ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("log") => writes_per_second_of_the_log().await,
        Some("store") => posts_per_second_of_the_store().await,
        Some("full-disk") => sled_survives_a_full_file_system().await,
        Some(_) | None => {
            println!("usage: figures log|store|full-disk");
            return std::process::ExitCode::from(2);
        }
    }
    std::process::ExitCode::SUCCESS
}

fn dir() -> (Option<tempfile::TempDir>, PathBuf) {
    match std::env::var_os("CRS_TEST_DIR") {
        Some(dir) => (None, PathBuf::from(dir)),
        None => {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().to_owned();
            (Some(dir), path)
        }
    }
}

async fn writes_per_second_of_the_log() {
    for writers in [1u16, 8, 64] {
        let (_guard, path) = dir();
        let clock = Arc::new(SystemClock::new());
        let disk = Arc::new(OsDisk::new(&path));
        let wal = Arc::new(Wal::open(disk, clock.clone(), &WalConfig::default()).unwrap());
        let end = clock.mono().plus(Duration::from_secs(3));
        let tasks = (1..=writers).map(|group| {
            let (wal, clock) = (wal.group(GroupId(group)), clock.clone());
            tokio::spawn(async move {
                let mut count = 0;
                while clock.mono() < end {
                    let (tx, rx) = oneshot::channel();
                    let done: Done = Box::new(move |result| drop(tx.send(result)));
                    let mark = LogMark { term: 1, node: 1, index: count };
                    wal.append(vec![(mark, vec![7; 300].into())], done).await;
                    rx.await.unwrap().unwrap();
                    count += 1;
                }
                count
            })
        });
        let tasks: Vec<_> = tasks.collect();
        let mut total = 0;
        for task in tasks {
            total += task.await.unwrap();
        }
        let syncs = wal.status().syncs;
        println!("log: {writers} writers: {} writes/s, {} syncs/s", total / 3, syncs / 3);
        wal.close();
        std::fs::remove_dir_all(path.join("wal")).unwrap();
    }
}

/// Posts within the sender's group take one round, those to another group two.
async fn posts_per_second_of_the_store() {
    for writers in [1u32, 64] {
        for _ in 0..5 {
            for near in [true, false] {
                let posted = posts_to(near, writers).await;
                let receivers = if near { "the sender's group" } else { "other groups" };
                let micros = u64::from(writers) * 1_000_000 / posted.max(1);
                println!(
                    "store: {writers} writers to {receivers}: {posted} posts/s, {micros} µs each"
                );
            }
        }
    }
}

async fn posts_to(near: bool, writers: u32) -> u64 {
    const SENDER: u32 = 10;
    const SECONDS: u64 = 3;
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(OsDisk::new(dir.path()));
    let store = open_on(disk, StoreConfig::default()).await.unwrap();
    let home = store.group_of(&user(SENDER).uri);
    let receivers = (100..2_100).filter(|to| (store.group_of(&user(*to).uri) == home) == near);
    let receivers: Arc<[u32]> = receivers.collect();
    let clock = Arc::new(SystemClock::new());
    let end = clock.mono().plus(Duration::from_secs(SECONDS));
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..writers {
        let (store, clock, receivers) = (store.clone(), clock.clone(), Arc::clone(&receivers));
        tasks.spawn(async move {
            let mut count = 0;
            while clock.mono() < end {
                let id = writer * 1_000_000 + count;
                let to = receivers[id as usize % receivers.len()];
                let reply = post(&store, SENDER, to, id, vec![1; 300]).await;
                assert!(matches!(reply, Ok(PostReply::Stored { .. })), "{reply:?}");
                count += 1;
            }
            u64::from(count)
        });
    }
    let total: u64 = tasks.join_all().await.into_iter().sum();
    store.close().await;
    total / SECONDS
}

/// Sled on a file system that gets full: `CRS_TEST_DIR` must be a small one of its own.
async fn sled_survives_a_full_file_system() {
    let (guard, path) = dir();
    assert!(guard.is_none(), "CRS_TEST_DIR names a small file system");
    let small = || StoreConfig { tables: Tables::Sled, snapshot_bytes: 4 << 20, ..config() };
    let disk = Arc::new(OsDisk::new(&path));
    let store = open_on(disk.clone(), small()).await.unwrap();
    for id in 0..200 {
        post(&store, 1, 2, id, vec![1; 2_000]).await.unwrap();
    }
    // Somebody else takes all the rest.
    let filler = path.join("filler");
    let took = std::process::Command::new("dd")
        .args(["if=/dev/zero", &format!("of={}", filler.display()), "bs=64k"])
        .output();
    assert!(took.is_ok());
    let mut confirmed: Vec<u32> = (0..200).collect();
    for id in 200..3_000 {
        match tokio::time::timeout(Duration::from_secs(3), post(&store, 1, 2, id, vec![2; 2_000]))
            .await
        {
            Ok(Ok(PostReply::Stored { .. })) => confirmed.push(id),
            Ok(Err(WriteError::DiskFull(text))) => {
                println!("refused after {} posts: {text}", confirmed.len());
                break;
            }
            other => {
                println!("after {} posts: {other:?}", confirmed.len());
                break;
            }
        }
    }
    store.close().await;
    let again = open_on(disk.clone(), small()).await.unwrap();
    println!("reopened on the full disk, rebuilds {}", again.status().rebuilds);
    let found: Vec<_> = inbox(&again, 2).await.into_iter().map(|(_, mid, _)| mid).collect();
    assert!(confirmed.iter().all(|id| found.contains(&mid(*id))), "nothing confirmed is lost");
    println!("ack on the full disk: {:?}", ack(&again, 2, vec![1]).await);
    std::fs::remove_file(&filler).unwrap();
    let mut resumed = false;
    for _ in 0..200 {
        resumed = matches!(
            post(&again, 1, 2, 9_999, vec![3; 100]).await,
            Ok(PostReply::Stored { .. } | PostReply::Duplicate { .. })
        );
        if resumed {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(resumed, "goes on when space is freed");
    again.close().await;
}
