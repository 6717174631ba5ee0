//! An append-only file of checksummed batches: the client's inbox and outbox.
//!
//! One batch is written and synced at a time, so only the last one can be torn. A bad batch at
//! the end is cut (it was never confirmed to anybody); a bad batch with a good one behind it is
//! damage and refused by name. Layout: 8 bytes of magic, then batches of
//! `length u32 LE | crc32c(payload) u32 LE | payload`, the payload being a versioned
//! [`crs_types::envelope`] of records.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crs_types::disk::{Disk, DiskFile};
use crs_types::envelope::{self, Version};
use serde::Serialize;
use serde::de::DeserializeOwned;

const MAGIC: &[u8; 8] = b"CRSJRNL1";
const HEADER: usize = 8;
/// Largest batch in bytes: 32 messages of the largest size.
pub const BATCH_MAX: usize = 4 * 1024 * 1024;
/// A journal is rewritten when it is larger than this and more than twice its live content.
pub const COMPACT_MIN: u64 = 1024 * 1024;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Reading, writing or syncing failed. After a failed sync the journal is never used again.
    #[error("journal {file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A damaged batch with intact ones behind it.
    #[error(
        "journal {file} is damaged at byte {offset}: restore the profile from a copy, or move \
         the file away to start without the messages in it"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where the bad batch begins.
        offset: u64,
    },
    /// Not a journal, or of a version this program does not read.
    #[error("journal {file}: {why}")]
    Foreign {
        /// The file.
        file: String,
        /// What was found.
        why: String,
    },
    /// More in one batch than a journal takes.
    #[error("a batch of {found} bytes, at most {BATCH_MAX} are taken")]
    TooLarge {
        /// Size of the refused batch.
        found: usize,
    },
    /// An earlier sync failed; nothing more is written.
    #[error("journal {0} failed earlier: restart the client")]
    Failed(String),
    /// What was asked for was not written, for this reason.
    #[error("nothing was taken: {0}")]
    NotTaken(String),
}

/// What opening found.
#[derive(Debug)]
pub struct Opened<R> {
    /// The journal, ready to append.
    pub journal: Journal<R>,
    /// All records, in order.
    pub records: Vec<R>,
    /// Bytes of a torn last batch that were cut off.
    pub cut: u64,
}

/// An open journal of records `R`. Calls block on the disk.
pub struct Journal<R> {
    disk: Arc<dyn Disk>,
    name: PathBuf,
    version: Version,
    file: Arc<dyn DiskFile>,
    end: u64,
    failed: bool,
    _records: PhantomData<fn(R)>,
}

impl<R> std::fmt::Debug for Journal<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Journal({}, {} bytes)", self.name.display(), self.end)
    }
}

impl<R: Serialize + DeserializeOwned> Journal<R> {
    /// Opens or creates a journal and reads what is in it.
    pub fn open(
        disk: Arc<dyn Disk>,
        name: &str,
        version: Version,
    ) -> Result<Opened<R>, JournalError> {
        let path = PathBuf::from(name);
        let io = |source| JournalError::Io { file: name.to_owned(), source };
        let bytes = match disk.read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(io(e)),
        };
        let read = read_batches::<R>(name, version, &bytes)?;
        let file = disk.open(&path, true).map_err(io)?;
        let mut end = read.end;
        if end < HEADER as u64 {
            file.set_len(0).map_err(io)?;
            file.write_at(0, MAGIC).map_err(io)?;
            end = HEADER as u64;
        } else if (bytes.len() as u64) > end {
            file.set_len(end).map_err(io)?;
        }
        file.sync().map_err(io)?;
        disk.sync_dir(Path::new("")).map_err(io)?;
        let cut = (bytes.len() as u64).saturating_sub(read.end);
        let journal =
            Self { disk, name: path, version, file, end, failed: false, _records: PhantomData };
        Ok(Opened { journal, records: read.records, cut })
    }

    /// Appends a batch and syncs it. On an error nothing of it counts as written; a failed sync
    /// ends the journal.
    pub fn append(&mut self, records: &[R]) -> Result<(), JournalError> {
        if records.is_empty() {
            return Ok(());
        }
        if self.failed {
            return Err(JournalError::Failed(self.file_name()));
        }
        let batch = encode_batch(self.version, records)?;
        if let Err(source) = self.file.write_at(self.end, &batch) {
            // A full disk: take the half-written batch away so that the tail stays clean.
            if self.file.set_len(self.end).is_err() {
                self.failed = true;
            }
            return Err(JournalError::Io { file: self.file_name(), source });
        }
        if let Err(source) = self.file.sync() {
            self.failed = true;
            // It was refused: as far as that can be had, the next start does not find it.
            let _cut = self.file.set_len(self.end);
            return Err(JournalError::Io { file: self.file_name(), source });
        }
        self.end += batch.len() as u64;
        Ok(())
    }

    /// Replaces the content: a new file is written and synced, then takes the old one's name.
    pub fn rewrite(&mut self, batches: &[Vec<R>]) -> Result<(), JournalError> {
        if self.failed {
            return Err(JournalError::Failed(self.file_name()));
        }
        let file = self.file_name();
        let io = |source| JournalError::Io { file: file.clone(), source };
        let temp = self.name.with_extension("tmp");
        let mut bytes = MAGIC.to_vec();
        for batch in batches.iter().filter(|b| !b.is_empty()) {
            bytes.extend(encode_batch(self.version, batch)?);
        }
        let new = match self.replace(&temp, &bytes) {
            Ok(new) => new,
            Err(source) => {
                // On a full disk its room is wanted.
                let _gone = self.disk.remove(&temp);
                return Err(io(source));
            }
        };
        self.file = new;
        self.end = bytes.len() as u64;
        if let Err(source) = self.disk.sync_dir(Path::new("")) {
            self.failed = true;
            return Err(io(source));
        }
        Ok(())
    }

    fn replace(&self, temp: &Path, bytes: &[u8]) -> std::io::Result<Arc<dyn DiskFile>> {
        let new = self.disk.open(temp, true)?;
        new.set_len(0)?;
        new.write_at(0, bytes)?;
        new.sync()?;
        self.disk.rename(temp, &self.name)?;
        Ok(new)
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.end
    }

    /// True when nothing was ever appended.
    pub fn is_empty(&self) -> bool {
        self.end == HEADER as u64
    }

    fn file_name(&self) -> String {
        self.name.display().to_string()
    }
}

struct Read<R> {
    records: Vec<R>,
    end: u64,
}

fn encode_batch<R: Serialize>(version: Version, records: &[R]) -> Result<Vec<u8>, JournalError> {
    let payload = envelope::encode(version, &records).map_err(|e| JournalError::Foreign {
        file: "(new batch)".to_owned(),
        why: e.to_string(),
    })?;
    if payload.len() > BATCH_MAX {
        return Err(JournalError::TooLarge { found: payload.len() });
    }
    let mut out = Vec::with_capacity(payload.len() + HEADER);
    out.extend((payload.len() as u32).to_le_bytes());
    out.extend(crc32c::crc32c(&payload).to_le_bytes());
    out.extend(payload);
    Ok(out)
}

fn read_batches<R: DeserializeOwned>(
    name: &str,
    version: Version,
    bytes: &[u8],
) -> Result<Read<R>, JournalError> {
    let foreign = |why: String| JournalError::Foreign { file: name.to_owned(), why };
    // Created, but the magic was never synced: a part of it, or zeros of its length.
    let begun = bytes.len() < HEADER && MAGIC.starts_with(bytes);
    if begun || (bytes.len() <= HEADER && bytes.iter().all(|b| *b == 0)) {
        return Ok(Read { records: Vec::new(), end: 0 });
    }
    if !bytes.starts_with(MAGIC) {
        return Err(foreign("not a journal of this program".to_owned()));
    }
    let mut records = Vec::new();
    let mut at = HEADER;
    while let Some(payload) = batch_at(bytes, at) {
        let mut batch: Vec<R> = envelope::decode(version, payload, BATCH_MAX)
            .map_err(|e| foreign(format!("batch at byte {at}: {e}")))?;
        records.append(&mut batch);
        at += HEADER + payload.len();
    }
    let behind = at + 1..bytes.len();
    if behind.into_iter().any(|offset| batch_at(bytes, offset).is_some()) {
        return Err(JournalError::Damaged { file: name.to_owned(), offset: at as u64 });
    }
    Ok(Read { records, end: at as u64 })
}

/// The payload of an intact batch at an offset.
fn batch_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let header = bytes.get(at..at + HEADER)?;
    let length = u32::from_le_bytes(header[..4].try_into().ok()?) as usize;
    let crc = u32::from_le_bytes(header[4..].try_into().ok()?);
    if length == 0 || length > BATCH_MAX {
        return None;
    }
    let payload = bytes.get(at + HEADER..at + HEADER + length)?;
    (crc32c::crc32c(payload) == crc).then_some(payload)
}

#[cfg(test)]
mod crash;
#[cfg(test)]
mod tests;
