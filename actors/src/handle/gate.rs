//! The limit of one actor's queue: depth, refusals, and the permit each message carries.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::metrics::QueueMetrics;

/// Counts what lies in a queue and refuses beyond the limit.
#[derive(Debug)]
pub struct Gate {
    limit: u32,
    depth: AtomicU32,
    metrics: QueueMetrics,
}

/// One message's place in a queue; free again when dropped, also when the actor dies with
/// messages still queued.
#[derive(Debug)]
pub struct Permit(Arc<Gate>);

impl Gate {
    /// A gate that lets `limit` messages wait. `metrics` are shared by all queues of a kind.
    pub fn new(limit: u32, metrics: QueueMetrics) -> Arc<Self> {
        Arc::new(Self { limit, depth: AtomicU32::new(0), metrics })
    }

    /// Takes a place in the queue; `None` at the limit, which is counted.
    pub fn enter(self: &Arc<Self>) -> Option<Permit> {
        self.metrics.offered.increment(1);
        let entered = self.depth.fetch_update(Ordering::AcqRel, Ordering::Acquire, |depth| {
            (depth < self.limit).then_some(depth + 1)
        });
        match entered {
            Ok(_) => {
                self.metrics.depth.increment(1.0);
                Some(Permit(Arc::clone(self)))
            }
            Err(_) => {
                self.metrics.refused.increment(1);
                None
            }
        }
    }

    /// Messages waiting now.
    pub fn depth(&self) -> u32 {
        self.depth.load(Ordering::Acquire)
    }

    /// Most messages that may wait.
    pub fn limit(&self) -> u32 {
        self.limit
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.depth.fetch_sub(1, Ordering::AcqRel);
        self.0.metrics.depth.decrement(1.0);
    }
}
