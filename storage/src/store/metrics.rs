//! Handles of the figures that are counted as they happen; [`super::StoreStatus`] has the rest.

use metrics::{Counter, Histogram};

/// What the store counts. Handles that go nowhere by default.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    /// Duration of each sync of the log in seconds.
    pub sync_seconds: Histogram,
    /// Writes that share one sync of the log.
    pub sync_writes: Histogram,
    /// Commands in one Raft entry.
    pub entry_commands: Histogram,
    /// Posts that were decided about.
    pub posts: Counter,
    /// Receipts stored.
    pub receipts: Counter,
    /// Receipts that gave way because too many waited for one user.
    pub receipts_dropped: Counter,
    /// Posts refused because their id was used for other content.
    pub id_conflicts: Counter,
}

impl Default for StoreMetrics {
    fn default() -> Self {
        Self {
            sync_seconds: Histogram::noop(),
            sync_writes: Histogram::noop(),
            entry_commands: Histogram::noop(),
            posts: Counter::noop(),
            receipts: Counter::noop(),
            receipts_dropped: Counter::noop(),
            id_conflicts: Counter::noop(),
        }
    }
}
