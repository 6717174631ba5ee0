//! Why a group's state cannot be had, and what of that passes by itself.

use super::snapshot::SnapshotError;
use crate::table::TableError;
use crate::wal::{WalError, is_full};

/// Why state cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Wal(#[from] WalError),
    #[error("entry of the log: {0}")]
    Entry(#[from] crs_types::envelope::DecodeError),
    #[error("the log has entry {found:?} where entry {expected} was expected")]
    Gap { expected: u64, found: Option<u64> },
    #[error("the tables were made anew while the snapshot was taken")]
    Interrupted,
    #[error("the store is closing")]
    Closing,
}

impl StateError {
    /// True when the disk is full or the tables were made anew: worth trying again later, unlike
    /// everything else.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::Table(TableError::DiskFull(_)) | Self::Interrupted => true,
            Self::Snapshot(SnapshotError::Io { source, .. }) => is_full(source),
            Self::Table(_)
            | Self::Snapshot(_)
            | Self::Wal(_)
            | Self::Entry(_)
            | Self::Gap { .. }
            | Self::Closing => false,
        }
    }
}
