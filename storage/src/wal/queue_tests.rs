//! The writer's queue and its batches, seen while a sync hangs and everything piles up.

use std::sync::{Arc, Mutex};

use crs_types::{GroupId, SystemClock};
use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::task::unconstrained;

use super::handle::QUEUE;
use super::writer::{BATCH_BYTES, BATCH_OPS};
use super::*;
use crate::testing::{Stall, StallingDisk};

/// Writes that shared one sync, in order.
#[derive(Default)]
struct Sizes(Mutex<Vec<usize>>);

impl metrics::HistogramFn for Sizes {
    fn record(&self, value: f64) {
        self.0.lock().unwrap().push(value as usize);
    }
}

/// A log whose writer hangs in the sync of one small entry.
struct Stalled {
    group: GroupWal,
    sizes: Arc<Sizes>,
    ended: mpsc::Sender<Result<(), WalError>>,
    ends: mpsc::Receiver<Result<(), WalError>>,
    _wal: Wal,
}

impl Stalled {
    async fn open() -> (Self, Stall) {
        let disk = StallingDisk::default();
        let sizes = Arc::new(Sizes::default());
        let config = WalConfig {
            reserve_bytes: 16_384,
            cache_bytes: 0,
            sync_writes: metrics::Histogram::from_arc(Arc::clone(&sizes)),
            ..WalConfig::default()
        };
        let wal = Wal::open(Arc::new(disk.clone()), Arc::new(SystemClock::new()), &config).unwrap();
        let (ended, ends) = mpsc::channel(2 * QUEUE);
        let (group, stall) = (wal.group(GroupId(1)), disk.stall());
        let stalled = Self { group, sizes, ended, ends, _wal: wal };
        stalled.append(0, 1).await;
        disk.wait_stalled();
        (stalled, stall)
    }

    async fn append(&self, index: usize, bytes: usize) {
        let mark = LogMark { term: 1, node: 1, index: index as u64 };
        let ended = self.ended.clone();
        let done: Done = Box::new(move |result| drop(ended.try_send(result)));
        self.group.append(vec![(mark, vec![7; bytes].into())], done).await;
    }

    /// Sizes of the batches once `count` entries are durable.
    async fn sizes_of(mut self, count: usize) -> Vec<usize> {
        for _ in 0..count {
            self.ends.recv().await.unwrap().unwrap();
        }
        std::mem::take(&mut *self.sizes.0.lock().unwrap())
    }
}

#[tokio::test]
async fn operations_beyond_the_queue_wait_and_one_sync_serves_no_more_than_a_batch() {
    let (stalled, stall) = Stalled::open().await;
    for index in 1..=QUEUE {
        let queued = unconstrained(stalled.append(index, 1)).now_or_never();
        queued.expect("there is room");
    }
    let mut further = Box::pin(unconstrained(stalled.append(QUEUE + 1, 1)));
    assert!(further.as_mut().now_or_never().is_none(), "it waits for a place");
    drop(stall);
    further.await;
    let sizes = stalled.sizes_of(QUEUE + 2).await;
    assert_eq!(sizes.iter().sum::<usize>(), QUEUE + 2);
    assert_eq!(sizes[..2], [1, BATCH_OPS], "{sizes:?}");
    assert!(sizes.iter().all(|size| *size <= BATCH_OPS), "{sizes:?}");
}

#[tokio::test]
async fn a_batch_ends_at_its_limit_of_bytes() {
    const ENTRY: usize = 1 << 20;
    let (stalled, stall) = Stalled::open().await;
    for index in 1..=20 {
        stalled.append(index, ENTRY).await;
    }
    drop(stall);
    let full = BATCH_BYTES / ENTRY;
    assert_eq!(stalled.sizes_of(21).await, [1, full, full, 20 - 2 * full]);
}
