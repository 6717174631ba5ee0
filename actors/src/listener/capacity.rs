//! How many client connections there may be, handshakes included.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts connections. The limit is given at each question, for SIGHUP may change it.
#[derive(Debug, Default)]
pub struct Capacity {
    count: AtomicUsize,
    freed: Notify,
}

/// One connection's place; free again when dropped.
#[derive(Debug)]
pub struct Place(Arc<Capacity>);

impl Capacity {
    /// Nobody is connected.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Takes a place, if fewer than `limit` are taken.
    pub fn try_enter(self: &Arc<Self>, limit: usize) -> Option<Place> {
        self.count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < limit).then_some(n + 1))
            .ok()
            .map(|_| Place(Arc::clone(self)))
    }

    /// Waits until a place may be free.
    pub async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Places taken.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.freed.notify_one();
    }
}
