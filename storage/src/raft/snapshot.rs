//! Snapshot files.

use std::path::PathBuf;

/// A finished snapshot file below the data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFile {
    /// Its path below the data directory.
    pub path: PathBuf,
    /// Its length in bytes.
    pub length: u64,
}
