//! Figures about the store for operators.

use std::sync::atomic::Ordering;

use crs_types::{GroupId, NodeId, Timestamp};

use super::Inner;
use super::group::{Group, QUEUE_MAX};
use crate::raft::Machine;

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

pub(super) fn of(inner: &Inner) -> StoreStatus {
    let log = inner.wal.status();
    let body_bytes = inner.groups.iter().map(|group| match &group.state.machine {
        Machine::Control(_) => 0,
        Machine::Mailbox(machine) => machine.bodies.bytes(),
    });
    let last_sync =
        (log.last_sync_millis > 0).then(|| Timestamp::from_millis(log.last_sync_millis));
    StoreStatus {
        groups: inner.groups.iter().map(group_status).collect(),
        log_bytes: log.total_bytes,
        table_bytes: inner.engine.bytes(),
        body_bytes: body_bytes.sum(),
        free_bytes: inner.free_bytes.load(Ordering::Acquire),
        disk_full: inner.admit(0).is_err(),
        last_sync,
        syncs: log.syncs,
        last_sync_micros: log.last_sync_micros,
        torn_tails: log.torn_tails,
        rebuilds: inner.rebuilds.load(Ordering::Relaxed),
    }
}

fn group_status(group: &Group) -> GroupStatus {
    let metrics = group.raft.metrics();
    let metrics = metrics.borrow();
    let index = |id: Option<openraft::LogId<u64>>| id.map_or(0, |id| id.index);
    GroupStatus {
        group: group.id,
        leader: metrics.current_leader.map(NodeId),
        voters: metrics.membership_config.voter_ids().map(NodeId).collect(),
        term: metrics.current_term,
        last_log: metrics.last_log_index.unwrap_or(0),
        applied: index(metrics.last_applied),
        snapshot: index(metrics.snapshot),
        log_bytes: group.wal.live().1,
        queued: (QUEUE_MAX - group.queue.capacity()) as u64,
        refused: group.refused.load(Ordering::Relaxed),
    }
}
