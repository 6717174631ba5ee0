//! [`RelayReader`]: the counters, from any thread.

use std::sync::Arc;

use crate::cells::ThreadCells;
use crate::counters::RelayCounters;

/// Reads the counters from anywhere, without the [`crate::Relay`] itself. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RelayReader(pub(crate) Arc<[Arc<ThreadCells>]>);

impl RelayReader {
    /// Sums over all threads since the relay was bound.
    pub fn counters(&self) -> RelayCounters {
        let mut sum = RelayCounters::default();
        self.0.iter().for_each(|cells| cells.add_to(&mut sum));
        sum
    }

    /// Kernel ids of the threads, as in `/proc/<pid>/task/<id>`; 0 before a thread runs.
    pub fn thread_ids(&self) -> Vec<u64> {
        self.0.iter().map(|cells| cells.thread_id.get()).collect()
    }
}
