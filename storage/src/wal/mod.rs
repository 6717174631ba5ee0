//! The write-ahead log: one append-only device for all groups of a node.
//!
//! One thread writes and syncs; everything that waits shares one sync. A completion is called
//! only after its record is durable. Votes and entries share one serial order. Segments are
//! preallocated, so a full disk is met only when a segment is opened, never inside an admitted
//! write. A failed sync is final: nothing is acknowledged after it and it is never retried.

mod handle;
mod index;
mod record;
mod recover;
mod segment;
mod writer;

#[cfg(test)]
mod queue_tests;
#[cfg(test)]
mod tests;

pub use handle::{Done, GroupWal, LogEntry, Wal, WalConfig, WalStatus};
pub use index::LogMark;
pub use writer::PlantedFault;

/// Why the log cannot be opened, written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WalError {
    /// A file operation failed.
    #[error("{path}: {what}")]
    Io {
        /// The file below the data directory.
        path: String,
        /// What the system said.
        what: String,
    },
    /// Damage in what had been durable.
    #[error("{file} is damaged at byte {offset}: {what}")]
    Damaged {
        /// The file below the data directory.
        file: String,
        /// Where.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The log has failed before or is closed.
    #[error("the log has stopped: {0}")]
    Stopped(String),
}

impl WalError {
    pub(crate) fn io(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::Io { path: path.display().to_string(), what: error.to_string() }
    }
}

/// True when the disk has no room: worth trying again later, unlike other failures.
pub(crate) fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}
