//! Message bodies over 3.5 KiB: appended to segment files beside the tables, found by the place
//! noted in the tables, dropped a whole segment at a time once nothing in it is live; what keeps a
//! segment alone is moved on (`raft/compact.rs`).
//!
//! A body is durable through the log until a snapshot names it; segments are synced before that.
//! A segment of an earlier run is never appended to, so a torn tail needs no repair.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crs_types::disk::{Disk, DiskFile};
use crs_types::{BlobHash, GroupId};
use serde::{Deserialize, Serialize};

/// Length, checksum, name; then the body.
const HEADER: usize = 40;
/// First bytes of every segment.
const MAGIC: &[u8; 8] = b"CRSBODY\x01";

/// Where a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

/// A group's body segments.
pub(crate) struct Bodies {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// A segment takes no further body beyond this size.
    segment_bytes: u64,
    state: Mutex<State>,
}

struct State {
    current: Option<Open>,
    next: u64,
    /// Segments written to since they were last synced.
    dirty: Vec<Arc<dyn DiskFile>>,
    /// A new file needs its directory synced too.
    dir_dirty: bool,
    bytes: u64,
}

struct Open {
    number: u64,
    file: Arc<dyn DiskFile>,
    end: u64,
}

impl Bodies {
    /// Opens the directory (made when there is none). A segment takes no further body beyond
    /// `segment_bytes`.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        group: GroupId,
        segment_bytes: u64,
    ) -> io::Result<Self> {
        let dir = PathBuf::from(format!("bodies/{group}"));
        disk.create_dir(&dir)?;
        let this = Self {
            disk,
            dir,
            segment_bytes,
            state: Mutex::new(State {
                current: None,
                next: 1,
                dirty: Vec::new(),
                dir_dirty: false,
                bytes: 0,
            }),
        };
        let numbers = this.segments()?;
        let mut bytes = 0;
        for number in &numbers {
            bytes += this.disk.open(&this.path(*number), false)?.len()?;
        }
        {
            let mut state = this.lock();
            state.next = numbers.last().map_or(1, |last| last + 1);
            state.bytes = bytes;
        }
        Ok(this)
    }

    /// Appends a body. Not yet durable.
    pub(crate) fn put(&self, name: BlobHash, body: &[u8]) -> io::Result<Place> {
        let mut state = self.lock();
        let full = state.current.as_ref().is_none_or(|open| open.end >= self.segment_bytes);
        if full {
            let number = state.next;
            let file = self.disk.open(&self.path(number), true)?;
            file.write_at(0, MAGIC)?;
            state.next += 1;
            state.dirty.push(Arc::clone(&file));
            state.dir_dirty = true;
            state.bytes += MAGIC.len() as u64;
            state.current = Some(Open { number, file, end: MAGIC.len() as u64 });
        }
        let Some(open) = state.current.as_mut() else {
            return Err(io::Error::other("no body segment is open"));
        };
        let mut record = Vec::with_capacity(HEADER + body.len());
        record.extend_from_slice(&(body.len() as u32).to_le_bytes());
        record.extend_from_slice(&checksum(&name, body).to_le_bytes());
        record.extend_from_slice(&name.0);
        record.extend_from_slice(body);
        open.file.write_at(open.end, &record)?;
        let place = Place { segment: open.number, offset: open.end, length: body.len() as u32 };
        open.end += record.len() as u64;
        let file = Arc::clone(&open.file);
        state.bytes += record.len() as u64;
        if state.dirty.is_empty() {
            state.dirty.push(file);
        }
        Ok(place)
    }

    /// Reads a body back; `None` when it is missing or damaged.
    pub(crate) fn get(&self, name: BlobHash, place: Place) -> Option<Vec<u8>> {
        let file = self.disk.open(&self.path(place.segment), false).ok()?;
        let mut record = vec![0; HEADER + place.length as usize];
        file.read_at(place.offset, &mut record).ok()?;
        let (header, body) = record.split_at(HEADER);
        let stored = u32::from_le_bytes(header.get(4..8)?.try_into().ok()?);
        let intact = stored == checksum(&name, body) && header.get(8..HEADER)? == name.0;
        intact.then(|| body.to_vec())
    }

    /// Makes everything put so far durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let (files, dir) = {
            let mut state = self.lock();
            (std::mem::take(&mut state.dirty), std::mem::take(&mut state.dir_dirty))
        };
        for file in files {
            // Whatever the system says, this is not "try again later": what was written may be
            // lost, so the error must not look like a full disk.
            file.sync().map_err(|e| io::Error::other(format!("sync of message bodies: {e}")))?;
        }
        if dir {
            self.disk.sync_dir(&self.dir)?;
        }
        Ok(())
    }

    /// Removes a segment that holds nothing live; false for the one that is written to.
    pub(crate) fn remove(&self, number: u64) -> bool {
        let mut state = self.lock();
        if state.current.as_ref().is_some_and(|open| open.number == number) {
            return false;
        }
        let path = self.path(number);
        let length = self.disk.open(&path, false).and_then(|file| file.len()).unwrap_or(0);
        state.bytes = state.bytes.saturating_sub(length);
        // A file that cannot be removed only takes space; the next start tries again.
        let _ = self.disk.remove(&path);
        true
    }

    /// Removes all segments but those in `keep` and the one that is written to.
    pub(crate) fn retain(&self, keep: &BTreeSet<u64>) -> io::Result<()> {
        for number in self.segments()? {
            if !keep.contains(&number) {
                self.remove(number);
            }
        }
        Ok(())
    }

    /// Every intact body of all segments, for rebuilding the tables.
    pub(crate) fn scan(&self, mut each: impl FnMut(BlobHash, Place)) -> io::Result<()> {
        for number in self.segments()? {
            self.records(number)?.into_iter().for_each(|(name, place)| each(name, place));
        }
        Ok(())
    }

    /// Every intact body of a segment.
    pub(crate) fn records(&self, number: u64) -> io::Result<Vec<(BlobHash, Place)>> {
        let bytes = self.disk.read(&self.path(number))?;
        let mut at = MAGIC.len();
        let next = || {
            let found = record_at(&bytes, at, number)?;
            at += HEADER + found.1.length as usize;
            Some(found)
        };
        Ok(std::iter::from_fn(next).collect())
    }

    /// Number and length of all segments but the one that is written to.
    pub(crate) fn sealed(&self) -> io::Result<Vec<(u64, u64)>> {
        let current = self.lock().current.as_ref().map(|open| open.number);
        let sealed = self.segments()?.into_iter().filter(|number| Some(*number) != current);
        let length = |number: u64| self.disk.open(&self.path(number), false)?.len();
        sealed.map(|number| length(number).map(|length| (number, length))).collect()
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    fn segments(&self) -> io::Result<Vec<u64>> {
        let names = self.disk.list(&self.dir)?;
        let numbers = names.iter().filter_map(|name| name.strip_suffix(".seg"));
        Ok(numbers.filter_map(|number| u64::from_str_radix(number, 16).ok()).collect())
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:016x}.seg"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn checksum(name: &BlobHash, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&name.0), body)
}

fn record_at(bytes: &[u8], at: usize, segment: u64) -> Option<(BlobHash, Place)> {
    let header = bytes.get(at..at + HEADER)?;
    let length = u32::from_le_bytes(*header.first_chunk()?);
    let stored = u32::from_le_bytes(header.get(4..8)?.try_into().ok()?);
    let name = BlobHash(header.get(8..HEADER)?.try_into().ok()?);
    let body = bytes.get(at + HEADER..at + HEADER + length as usize)?;
    let place = Place { segment, offset: at as u64, length };
    (stored == checksum(&name, body)).then_some((name, place))
}
