//! Why the store cannot be opened, written or read, in words an operator can act on.

use std::time::Duration;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk refused.
    #[error("{path}: {source}")]
    Io {
        /// File or directory below the data directory.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The store was made with another number of groups.
    #[error(
        "this store was made with {stored} mailbox groups and cannot be opened with {configured}"
    )]
    Groups {
        /// In the store.
        stored: u16,
        /// In the configuration.
        configured: u16,
    },
    /// The store belongs to another node.
    #[error("this store belongs to node {stored}, not to node {configured}")]
    Node {
        /// In the store.
        stored: u64,
        /// In the configuration.
        configured: u64,
    },
    /// Damage in the middle of what was durable.
    #[error("{file} is damaged at byte {offset}: {what}")]
    Damaged {
        /// The file below the data directory.
        file: String,
        /// Where.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The tables cannot be opened or rebuilt.
    #[error(transparent)]
    Tables(#[from] crate::table::TableError),
    /// A group did not start.
    #[error("group {group} does not start: {what}")]
    Group {
        /// Which.
        group: crs_types::GroupId,
        /// Why.
        what: String,
    },
}

/// Why a command was not confirmed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The queue of the group is full. Nothing was stored.
    #[error("the store is busy")]
    Busy,
    /// Too little space. Nothing was stored.
    #[error("the disk is full: {0}")]
    DiskFull(String),
    /// The disk refused. Nothing was stored.
    #[error("the disk failed: {0}")]
    Disk(String),
    /// No leader or no majority. Nothing was stored.
    #[error("group {0} has no quorum")]
    NoQuorum(crs_types::GroupId),
    /// No answer in time: the command may or may not be stored. Ask again with the same id.
    #[error("no confirmation in time; it may still be stored")]
    Unknown,
    /// The command is larger than the store takes.
    #[error("a command has at most {limit} bytes, this one has {found}")]
    TooLarge {
        /// The limit.
        limit: u64,
        /// What came.
        found: u64,
    },
    /// The store has no such group, or the command is for another kind of group.
    #[error("there is no such group as {0}")]
    NoGroup(crs_types::GroupId),
    /// The store is closed or has failed.
    #[error("the store has stopped")]
    Stopped,
}

impl WriteError {
    /// When to try again; `None` when there is no use.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy => Some(Duration::from_millis(200)),
            // Posting goes on within 10 s of space being freed; the store looks every second.
            Self::DiskFull(_) | Self::Disk(_) => Some(Duration::from_secs(5)),
            Self::NoQuorum(_) | Self::Unknown => Some(Duration::from_secs(1)),
            Self::Stopped => Some(Duration::from_secs(2)),
            Self::TooLarge { .. } | Self::NoGroup(_) => None,
        }
    }
}

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The tables are being rebuilt or cannot be read now.
    #[error("the tables cannot be read now: {0}")]
    Unavailable(String),
    /// No such blob.
    #[error("there is no blob {0}")]
    NoBlob(crs_types::BlobHash),
    /// Stored bytes do not match their checksum.
    #[error("{file} is damaged")]
    Damaged {
        /// The file below the data directory.
        file: String,
    },
    /// The store is closed or has failed.
    #[error("the store has stopped")]
    Stopped,
}
