//! A store on a fake disk, a clock that only tests move, and short ways to say things.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crs_cluster::Unreachable;
use crs_storage::command::mailbox::{Ack, Post, PostReply, Quota};
use crs_storage::store::{MailItem, PAGE_ITEMS_MAX};
use crs_storage::testing::FakeDisk;
use crs_storage::{Body, OpenError, Store, StoreConfig, Tables, UserKey, WriteError};
use crs_types::disk::Disk;
use crs_types::{AccountId, Clock, MessageId, Mono, Timestamp, Uri};

pub(crate) const START: u64 = 1_790_000_000_000;

/// Both clocks stand still until they are moved.
#[derive(Clone, Default)]
pub(crate) struct TestClock {
    passed: Arc<AtomicU64>,
    jumped: Arc<AtomicU64>,
}

impl TestClock {
    /// Time passes.
    pub(crate) fn pass(&self, time: Duration) {
        self.passed.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }

    /// The wall clock alone jumps ahead.
    pub(crate) fn jump(&self, time: Duration) {
        self.jumped.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let passed = self.passed.load(Ordering::Relaxed) + self.jumped.load(Ordering::Relaxed);
        Timestamp::from_millis(START + passed)
    }

    fn mono(&self) -> Mono {
        Mono::from_micros(self.passed.load(Ordering::Relaxed) * 1000)
    }
}

pub(crate) fn config() -> StoreConfig {
    StoreConfig {
        mailbox_groups: 2,
        min_free_bytes: 0,
        segment_bytes: 256 << 10,
        body_segment_bytes: 64 << 10,
        reserve_bytes: 512 << 10,
        snapshot_bytes: 64 << 10,
        tables: Tables::Memory,
        ..StoreConfig::default()
    }
}

pub(crate) async fn open(disk: &FakeDisk, config: StoreConfig) -> Result<Store, OpenError> {
    open_on(Arc::new(disk.clone()), config).await
}

pub(crate) async fn open_on(disk: Arc<dyn Disk>, config: StoreConfig) -> Result<Store, OpenError> {
    open_at(disk, config, &TestClock::default()).await
}

pub(crate) async fn open_at(
    disk: Arc<dyn Disk>,
    config: StoreConfig,
    clock: &TestClock,
) -> Result<Store, OpenError> {
    let clock = Arc::new(clock.clone());
    Store::open(config, disk, clock, Unreachable, Arc::new(|_| {})).await
}

pub(crate) fn user(number: u32) -> UserKey {
    let account = AccountId::parse("police").unwrap();
    UserKey::new(account, Uri::parse(&format!("+467{number:07}")).unwrap())
}

pub(crate) fn mid(number: u32) -> MessageId {
    let mut random = [0; 10];
    random[..4].copy_from_slice(&number.to_be_bytes());
    MessageId::from_parts(Timestamp::from_millis(START), random)
}

pub(crate) fn message(from: u32, to: u32, id: u32, body: Vec<u8>) -> Post {
    let time = Timestamp::from_millis(START);
    Post {
        to: user(to),
        from: user(from),
        mid: mid(id),
        time,
        expires: time.plus(crs_types::limits::MESSAGE_RETENTION),
        body: Body::from(body),
        quota: Quota::default(),
    }
}

pub(crate) async fn post(
    store: &Store,
    from: u32,
    to: u32,
    id: u32,
    body: Vec<u8>,
) -> Result<PostReply, WriteError> {
    Ok(store.post(message(from, to, id, body)).await?.reply)
}

pub(crate) async fn ack(store: &Store, of: u32, n: Vec<u64>) -> Result<u64, WriteError> {
    let time = Timestamp::from_millis(START);
    Ok(store.ack(Ack { user: user(of), n, time }).await?.reply)
}

/// All items of a mailbox: number, message, and the body of content.
pub(crate) async fn inbox(store: &Store, of: u32) -> Vec<(u64, MessageId, Option<Body>)> {
    let mut all = Vec::new();
    let mut after = 0;
    loop {
        let mut tries = 0;
        let page = loop {
            tries += 1;
            match store.fetch(&user(of), after, PAGE_ITEMS_MAX, 64 << 10).await {
                Ok(page) => break page,
                // Tables that failed heal within a second or two.
                Err(failure) => assert!(tries < 200, "{failure}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        for item in page.items {
            let line = match item {
                MailItem::Content { n, mid, body, .. } => (n, mid, Some(body)),
                MailItem::Receipt { n, mid, .. } => (n, mid, None),
            };
            after = line.0;
            all.push(line);
        }
        if !page.more {
            return all;
        }
    }
}

/// Waits until a mailbox holds this many items (forwarding between groups takes a moment).
pub(crate) async fn inbox_of_len(
    store: &Store,
    of: u32,
    len: usize,
) -> Vec<(u64, MessageId, Option<Body>)> {
    for _ in 0..2_000 {
        let found = inbox(store, of).await;
        if found.len() >= len {
            return found;
        }
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    inbox(store, of).await
}
