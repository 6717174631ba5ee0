//! Fills a store with waiting messages, to measure how a node starts on it (docs/performance.md):
//! `cargo run -p crs-storage --example fill -- <folder> <messages>`. With 0 messages it only says how
//! long opening took. A third argument keeps the store open for so many seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crs_cluster::Unreachable;
use crs_storage::command::mailbox::{Post, PostReply, Quota};
use crs_storage::{Body, Store, StoreConfig, UserKey};
use crs_types::disk::OsDisk;
use crs_types::limits::MESSAGE_RETENTION;
use crs_types::{AccountId, Clock, MessageId, SystemClock, Timestamp, Uri};

const RECEIVERS: u32 = 1_000;
const BODY: usize = 300;
const WRITERS: usize = 256;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: fill <folder> <messages> [<seconds>]";
    let folder = arguments.next().ok_or(usage)?;
    let messages: u32 = arguments.next().ok_or(usage)?.parse()?;
    let stay: u64 = arguments.next().map_or(Ok(0), |seconds| seconds.parse())?;
    std::fs::create_dir_all(&folder)?;
    let clock = Arc::new(SystemClock::new());
    let disk = Arc::new(OsDisk::new(&folder));
    let config = StoreConfig { min_free_bytes: 0, ..StoreConfig::default() };
    let hook = Arc::new(|_: &_| {});
    let started = clock.mono();
    let store = Store::open(config, disk, clock.clone(), Unreachable, hook).await?;
    println!("opened in {} ms", clock.mono().since(started).as_millis());
    let next = Arc::new(AtomicU32::new(0));
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let (store, next, now) = (store.clone(), Arc::clone(&next), clock.now());
        writers.spawn(async move {
            loop {
                let id = next.fetch_add(1, Ordering::Relaxed);
                if id >= messages {
                    return Ok::<_, Failure>(());
                }
                let reply = store.post(message(id, now)?).await?.reply;
                if !matches!(reply, PostReply::Stored { .. }) {
                    return Err(format!("{reply:?}").into());
                }
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done??;
    }
    tokio::time::sleep(std::time::Duration::from_secs(stay)).await;
    println!("{} bytes of log", store.status().log_bytes);
    store.close().await;
    println!("{messages} messages wait in {folder}");
    Ok(())
}

fn message(id: u32, now: Timestamp) -> Result<Post, Failure> {
    let user = |n: u32| -> Result<UserKey, Failure> {
        Ok(UserKey::new(AccountId::parse("load")?, Uri::parse(&format!("+467{n:07}"))?))
    };
    let mut random = [0; 10];
    random[6..].copy_from_slice(&id.to_be_bytes());
    Ok(Post {
        to: user(1 + id % RECEIVERS)?,
        from: user(0)?,
        mid: MessageId::from_parts(now, random),
        time: now,
        expires: now.plus(MESSAGE_RETENTION),
        body: Body::from(vec![7; BODY]),
        quota: Quota::default(),
    })
}
