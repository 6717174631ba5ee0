//! [`RelayReader`]: the counters, from any thread.

use std::sync::Arc;
use std::time::Duration;

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

    /// CPU time of each thread, as last published (a tenth of a second ago at most while busy).
    pub fn cpu_times(&self) -> Vec<Duration> {
        self.0.iter().map(|cells| Duration::from_micros(cells.cpu_micros.get())).collect()
    }

    /// Kernel ids of the threads, as in `/proc/<pid>/task/<id>`; 0 before a thread runs.
    pub fn thread_ids(&self) -> Vec<u64> {
        self.0.iter().map(|cells| cells.thread_id.get()).collect()
    }
}
