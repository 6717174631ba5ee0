//! How many client connections there may be, handshakes included.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts connections. The limit is the accept loop's, for SIGHUP may change it.
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

    /// Takes a place.
    pub fn enter(self: &Arc<Self>) -> Place {
        self.count.fetch_add(1, Ordering::AcqRel);
        Place(Arc::clone(self))
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
