//! Opening the log: reading all segments, cutting a torn tail, refusing damage.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crs_types::disk::{Disk, DiskFile};

use super::WalError;
use super::index::{Entry, Group, Latest, LogMark, Place};
use super::record::{self, HEADER, Kind, NotRecord, Record};
use super::segment::{self, DIR, START};

/// What was found.
pub(super) struct Recovered {
    pub(super) groups: BTreeMap<u16, Group>,
    /// All segments in order; records are appended to the last one that holds any.
    pub(super) segments: Vec<Segment>,
    /// Sequence number of the last record.
    pub(super) last_seq: u64,
    /// True when a torn tail was cut.
    pub(super) torn: bool,
}

/// A segment that was found.
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) size: u64,
    /// Where the next record goes.
    pub(super) end: u64,
}

/// Reads the log below `wal/`.
pub(super) fn recover(disk: &dyn Disk) -> Result<Recovered, WalError> {
    let dir = Path::new(DIR);
    disk.create_dir(dir).map_err(|e| WalError::io(dir, &e))?;
    let names = disk.list(dir).map_err(|e| WalError::io(dir, &e))?;
    let numbers: Vec<u64> = names.iter().filter_map(|name| segment::number(name)).collect();
    let mut scan = Scan { disk, groups: BTreeMap::new(), segments: Vec::new(), last_seq: None };
    let mut torn = false;
    for (at, number) in numbers.iter().enumerate() {
        let later = numbers.get(at + 1..).unwrap_or_default();
        torn |= scan.segment(*number, later)?;
    }
    scan.check_holes()?;
    let last_seq = scan.last_seq.unwrap_or(0);
    Ok(Recovered { groups: scan.groups, segments: scan.segments, last_seq, torn })
}

struct Scan<'a> {
    disk: &'a dyn Disk,
    groups: BTreeMap<u16, Group>,
    segments: Vec<Segment>,
    /// `None` until the first record; the oldest segment may start anywhere.
    last_seq: Option<u64>,
}

impl Scan<'_> {
    /// Reads one segment; true when a torn tail was cut from it.
    fn segment(&mut self, number: u64, later: &[u64]) -> Result<bool, WalError> {
        let path = segment::path(number);
        let io = |e: &std::io::Error| WalError::io(&path, e);
        let bytes = self.disk.read(&path).map_err(|e| io(&e))?;
        if let Some(version) = segment::foreign_version(&bytes) {
            return Err(damaged(
                number,
                0,
                &format!("layout {version} is newer than this program"),
            ));
        }
        if !segment::has_header(&bytes, number) {
            return self.headless(number, &bytes, later);
        }
        self.check_consecutive(number)?;
        let file = self.disk.open(&path, false).map_err(|e| io(&e))?;
        let end = self.records(number, &bytes)?;
        let size = bytes.len() as u64;
        let tail = bytes.get(end as usize..).unwrap_or_default();
        let dirty = tail.iter().rposition(|byte| *byte != 0).map(|at| at + 1);
        if let Some(dirty) = dirty {
            self.must_not_be_durable(number, end, tail, later)?;
            cut(&*file, end, dirty).map_err(|e| io(&e))?;
            tracing::warn!(
                file = %path.display(), offset = end, bytes = dirty,
                "cut a torn tail that was never acknowledged"
            );
        }
        self.segments.push(Segment { number, file, size, end });
        Ok(dirty.is_some())
    }

    /// A segment without header was being made when the node went down; it holds nothing.
    fn headless(&self, number: u64, bytes: &[u8], later: &[u64]) -> Result<bool, WalError> {
        let start = bytes.get(START as usize..).unwrap_or_default();
        if start.iter().any(|byte| *byte != 0) || !later.is_empty() {
            return Err(damaged(number, 0, "the header is not that of this segment"));
        }
        let path = segment::path(number);
        self.disk.remove(&path).map_err(|e| WalError::io(&path, &e))?;
        Ok(false)
    }

    fn check_consecutive(&self, number: u64) -> Result<(), WalError> {
        match self.segments.last() {
            Some(before) if before.number + 1 != number => {
                let missing = before.number + 1;
                Err(damaged(missing, 0, "the segment is missing"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Takes in the intact records; returns where they end.
    fn records(&mut self, number: u64, bytes: &[u8]) -> Result<u64, WalError> {
        let mut at = START as usize;
        while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= HEADER) {
            let found = match record::decode(rest) {
                Ok(found) => found,
                Err(NotRecord::Invalid) => break,
                Err(NotRecord::Version(version)) => {
                    let what = format!("record of layout {version} is newer than this program");
                    return Err(damaged(number, at as u64, &what));
                }
            };
            if self.last_seq.is_some_and(|last| found.seq != last + 1) {
                break;
            }
            self.take(number, at as u64, &found)?;
            self.last_seq = Some(found.seq);
            at += found.stored;
        }
        Ok((at as u64).min(bytes.len() as u64))
    }

    fn take(&mut self, number: u64, at: u64, found: &Record<'_>) -> Result<(), WalError> {
        let malformed = || damaged(number, at, "the record has no mark of an entry");
        let group = self.groups.entry(found.group).or_default();
        let latest = || Some(Latest { bytes: found.payload.into(), segment: Some(number) });
        match found.kind {
            Kind::Vote => group.vote = latest(),
            Kind::Committed => group.committed = latest(),
            Kind::Truncate => {
                group.truncate(LogMark::from_bytes(found.payload).ok_or_else(malformed)?.index);
            }
            Kind::Purge => {
                let mark = LogMark::from_bytes(found.payload).ok_or_else(malformed)?;
                group.purge(mark, Some(number));
            }
            Kind::Append => {
                let mark = LogMark::from_bytes(found.payload).ok_or_else(malformed)?;
                let length = found.payload.len() - 24;
                let follows = group
                    .entries
                    .values()
                    .next_back()
                    .is_none_or(|last| mark.index <= last.mark.index + 1);
                if !follows {
                    return Err(damaged(number, at, "entries are missing before this one"));
                }
                let place = Place {
                    segment: number,
                    offset: at + HEADER as u64 + 24,
                    length: length as u32,
                };
                group.push(Entry { mark, length, place: Some(place), bytes: None });
            }
        }
        Ok(())
    }

    /// Refuses when an intact record after the gap says that the gap had been durable.
    fn must_not_be_durable(
        &self,
        number: u64,
        end: u64,
        tail: &[u8],
        later: &[u64],
    ) -> Result<(), WalError> {
        let missing = self.last_seq.map_or(1, |last| last + 1);
        let mut proven = proves_durable(tail, missing);
        for other in later {
            let path = segment::path(*other);
            let bytes = self.disk.read(&path).map_err(|e| WalError::io(&path, &e))?;
            proven |= proves_durable(bytes.get(START as usize..).unwrap_or_default(), missing);
        }
        if proven {
            let what = format!("record {missing} had been synced and is not intact");
            return Err(damaged(number, end, &what));
        }
        Ok(())
    }

    fn check_holes(&self) -> Result<(), WalError> {
        for (id, group) in &self.groups {
            let Some(first) = group.entries.keys().next() else { continue };
            let expected = group.purged.map_or(0, |(mark, _)| mark.index + 1);
            if *first != expected {
                let what = format!("group {id} lacks the entries from {expected} to {first}");
                return Err(damaged(self.segments.first().map_or(0, |s| s.number), 0, &what));
            }
        }
        Ok(())
    }
}

/// True when some intact record in `bytes` was written after record `missing` was durable.
fn proves_durable(bytes: &[u8], missing: u64) -> bool {
    const NEAR: u64 = 1 << 32;
    (0..bytes.len()).step_by(8).any(|at| {
        let rest = bytes.get(at..).unwrap_or_default();
        let claimed = record::claimed_seq(rest);
        claimed > missing
            && claimed - missing < NEAR
            && record::decode(rest).is_ok_and(|found| found.durable >= missing)
    })
}

/// Overwrites the torn bytes. Not `set_len`: the blocks stay reserved on a full disk.
fn cut(file: &dyn DiskFile, end: u64, dirty: usize) -> std::io::Result<()> {
    file.write_at(end, &vec![0; dirty])?;
    file.sync()
}

fn damaged(number: u64, offset: u64, what: &str) -> WalError {
    let file = segment::path(number).display().to_string();
    WalError::Damaged { file, offset, what: what.to_owned() }
}
