//! Raft's log and vote on the write-ahead log (the durability contract of openraft's
//! `RaftLogStorage`: a vote is durable on return, entries are readable on return and durable
//! before the callback).

use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use crs_types::envelope::{self, Version};
use openraft::storage::{LogFlushed, LogState, RaftLogStorage};
use openraft::{
    CommittedLeaderId, Entry, EntryPayload, LogId, OptionalSend, RaftLogReader, StorageError,
    StorageIOError, Vote,
};

use super::types::TypeConfig;
use crate::wal::{GroupWal, LogMark, WalError};

const VERSION: Version = Version(1);
/// Longest entry that is read back; batches are kept far below this.
const ENTRY_MAX: usize = 8 * 1024 * 1024;
/// A page of entries handed to Raft stays within this many bytes.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// One group's log as Raft sees it.
#[derive(Clone)]
pub struct LogStore {
    wal: GroupWal,
}

impl LogStore {
    /// The Raft log of a group on the write-ahead log.
    pub fn new(wal: GroupWal) -> Self {
        Self { wal }
    }
}

/// An entry's payload as it lies in the log.
pub(crate) fn encode_payload(
    payload: &EntryPayload<TypeConfig>,
) -> Result<Vec<u8>, envelope::EncodeError> {
    envelope::encode(VERSION, payload)
}

/// An entry read back.
pub(crate) fn decode_entry(
    mark: LogMark,
    bytes: &[u8],
) -> Result<Entry<TypeConfig>, envelope::DecodeError> {
    let payload = envelope::decode(VERSION, bytes, ENTRY_MAX)?;
    Ok(Entry { log_id: log_id(mark), payload })
}

pub(crate) fn log_id(mark: LogMark) -> LogId<u64> {
    LogId::new(CommittedLeaderId::new(mark.term, mark.node), mark.index)
}

fn mark(id: &LogId<u64>) -> LogMark {
    LogMark { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry<TypeConfig>>, StorageError<u64>> {
        let start = match range.start_bound() {
            Bound::Included(index) => *index,
            Bound::Excluded(index) => index + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(index) => index + 1,
            Bound::Excluded(index) => *index,
            Bound::Unbounded => u64::MAX,
        };
        self.page(start, end, usize::MAX).await
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry<TypeConfig>>, StorageError<u64>> {
        self.page(start, end, PAGE_BYTES).await
    }
}

impl LogStore {
    async fn page(
        &self,
        start: u64,
        end: u64,
        max_bytes: usize,
    ) -> Result<Vec<Entry<TypeConfig>>, StorageError<u64>> {
        let failed = |e: &(dyn std::error::Error + 'static)| {
            StorageError::from(StorageIOError::read_logs(openraft::AnyError::error(e)))
        };
        let found = self.wal.read(start..end, max_bytes).await.map_err(|e| failed(&e))?;
        let decoded = found.into_iter().map(|(mark, bytes)| decode_entry(mark, &bytes));
        decoded.collect::<Result<_, _>>().map_err(|e| failed(&e))
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError<u64>> {
        let (purged, last) = self.wal.ends();
        Ok(LogState { last_purged_log_id: purged.map(log_id), last_log_id: last.map(log_id) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Result<(), StorageError<u64>> {
        let bytes = envelope::encode(VERSION, vote).map_err(|e| StorageIOError::write_vote(&e))?;
        self.wal.save_vote(bytes).await.map_err(|e| StorageIOError::write_vote(&e).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<u64>>, StorageError<u64>> {
        let Some(bytes) = self.wal.vote() else { return Ok(None) };
        let vote = envelope::decode(VERSION, &bytes, ENTRY_MAX);
        vote.map(Some).map_err(|e| StorageIOError::read_vote(&e).into())
    }

    async fn save_committed(
        &mut self,
        committed: Option<LogId<u64>>,
    ) -> Result<(), StorageError<u64>> {
        let bytes =
            envelope::encode(VERSION, &committed).map_err(|e| StorageIOError::write_logs(&e))?;
        self.wal.save_committed(bytes).await;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId<u64>>, StorageError<u64>> {
        let Some(bytes) = self.wal.committed() else { return Ok(None) };
        let committed = envelope::decode(VERSION, &bytes, ENTRY_MAX);
        committed.map_err(|e| StorageIOError::read_logs(&e).into())
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError<u64>>
    where
        I: IntoIterator<Item = Entry<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut records: Vec<(LogMark, Arc<[u8]>)> = Vec::new();
        for entry in entries {
            let bytes =
                encode_payload(&entry.payload).map_err(|e| StorageIOError::write_logs(&e))?;
            records.push((mark(&entry.log_id), bytes.into()));
        }
        let done = move |result: Result<(), WalError>| {
            callback.log_io_completed(result.map_err(std::io::Error::other));
        };
        self.wal.append(records, Box::new(done)).await;
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId<u64>) -> Result<(), StorageError<u64>> {
        let done = self.wal.truncate(mark(&log_id)).await;
        done.map_err(|e| StorageIOError::write_logs(&e).into())
    }

    async fn purge(&mut self, log_id: LogId<u64>) -> Result<(), StorageError<u64>> {
        let done = self.wal.purge(mark(&log_id)).await;
        done.map_err(|e| StorageIOError::write_logs(&e).into())
    }
}
