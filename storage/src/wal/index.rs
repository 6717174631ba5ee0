//! What of the log is live, by group: kept in memory, with the newest entries' bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Identifies a log entry: who led when it was made, and its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogMark {
    /// Term of the leader.
    pub term: u64,
    /// The leader.
    pub node: u64,
    /// Index in the group's log.
    pub index: u64,
}

impl LogMark {
    pub(super) fn to_bytes(self) -> [u8; 24] {
        let mut out = [0; 24];
        out[..8].copy_from_slice(&self.term.to_le_bytes());
        out[8..16].copy_from_slice(&self.node.to_le_bytes());
        out[16..].copy_from_slice(&self.index.to_le_bytes());
        out
    }

    /// `None`: too short, or an index that has no successor, which no log gets to.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let at = |from: usize| {
            bytes.get(from..from + 8)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
        };
        let index = at(16).filter(|index| *index < u64::MAX)?;
        Some(Self { term: at(0)?, node: at(8)?, index })
    }
}

/// Where an entry's bytes lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) length: u32,
}

/// A live entry.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) mark: LogMark,
    pub(super) length: usize,
    /// Set once it is written.
    pub(super) place: Option<Place>,
    /// Always there until it is written, afterwards as long as the cache allows.
    pub(super) bytes: Option<Arc<[u8]>>,
}

/// A small record of which only the newest counts, and the segment it lies in.
#[derive(Debug, Clone)]
pub(super) struct Latest {
    pub(super) bytes: Arc<[u8]>,
    pub(super) segment: Option<u64>,
}

/// One group's live log.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) vote: Option<Latest>,
    pub(super) committed: Option<Latest>,
    pub(super) purged: Option<(LogMark, Option<u64>)>,
    pub(super) entries: BTreeMap<u64, Entry>,
    /// Bytes of all live entries.
    pub(super) live_bytes: u64,
    cached_bytes: usize,
    /// Entries below this index have left the cache.
    evicted_below: u64,
}

impl Group {
    pub(super) fn push(&mut self, entry: Entry) {
        self.truncate(entry.mark.index);
        self.live_bytes += entry.length as u64;
        if let Some(bytes) = &entry.bytes {
            self.cached_bytes += bytes.len();
        }
        self.entries.insert(entry.mark.index, entry);
    }

    pub(super) fn truncate(&mut self, from: u64) {
        let gone = self.entries.split_off(&from);
        self.forget(gone.values());
    }

    pub(super) fn purge(&mut self, mark: LogMark, segment: Option<u64>) {
        let kept = self.entries.split_off(&(mark.index + 1));
        let gone = std::mem::replace(&mut self.entries, kept);
        self.forget(gone.values());
        self.purged = Some((mark, segment));
    }

    fn forget<'a>(&mut self, gone: impl Iterator<Item = &'a Entry>) {
        for entry in gone {
            self.live_bytes = self.live_bytes.saturating_sub(entry.length as u64);
            let cached = entry.bytes.as_ref().map_or(0, |bytes| bytes.len());
            self.cached_bytes = self.cached_bytes.saturating_sub(cached);
        }
    }

    /// Notes where an entry was written, unless it has been replaced meanwhile.
    pub(super) fn placed(&mut self, mark: LogMark, place: Place) {
        if let Some(entry) = self.entries.get_mut(&mark.index)
            && entry.mark == mark
        {
            entry.place = Some(place);
        }
    }

    /// Drops the oldest written entries' bytes until the cache is within its limit.
    pub(super) fn evict(&mut self, limit: usize) {
        if self.cached_bytes <= limit {
            return;
        }
        let mut from = self.evicted_below;
        for (index, entry) in self.entries.range_mut(from..) {
            if self.cached_bytes <= limit || entry.place.is_none() {
                break;
            }
            let freed = entry.bytes.take().map_or(0, |bytes| bytes.len());
            self.cached_bytes = self.cached_bytes.saturating_sub(freed);
            from = *index + 1;
        }
        self.evicted_below = from;
    }

    /// The oldest segment that holds a live entry; `None` when all lie in memory only.
    pub(super) fn oldest_segment(&self) -> Option<u64> {
        self.entries.values().find_map(|entry| entry.place).map(|place| place.segment)
    }

    pub(super) fn last(&self) -> Option<LogMark> {
        let last = self.entries.values().next_back().map(|entry| entry.mark);
        last.or(self.purged.map(|(mark, _)| mark))
    }
}
