//! Figures about the store for operators.

use crs_types::{GroupId, NodeId, Timestamp};

/// The store at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStatus {
    /// Group 0 first.
    pub groups: Vec<GroupStatus>,
    /// Bytes in segments of the write-ahead log.
    pub log_bytes: u64,
    /// Bytes of the tables.
    pub table_bytes: u64,
    /// Bytes of message bodies in segment files.
    pub body_bytes: u64,
    /// Free bytes on the disk.
    pub free_bytes: u64,
    /// True while posts are refused for lack of space.
    pub disk_full: bool,
    /// When the log was last synced.
    pub last_sync: Option<Timestamp>,
    /// Syncs since the start.
    pub syncs: u64,
    /// Duration of the last sync in microseconds.
    pub last_sync_micros: u64,
    /// Torn tails cut at the start (0 or 1).
    pub torn_tails: u64,
    /// Tables rebuilt from snapshot and log since the start.
    pub rebuilds: u64,
}

/// One Raft group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupStatus {
    /// Which.
    pub group: GroupId,
    /// Its leader, when known.
    pub leader: Option<NodeId>,
    /// Its voters.
    pub voters: Vec<NodeId>,
    /// Current term.
    pub term: u64,
    /// Index of the last log entry.
    pub last_log: u64,
    /// Index of the last applied entry.
    pub applied: u64,
    /// Index up to which a snapshot covers the log.
    pub snapshot: u64,
    /// Bytes of its live log entries.
    pub log_bytes: u64,
    /// Commands waiting in its queue.
    pub queued: u64,
    /// Commands refused because the queue was full.
    pub refused: u64,
}
