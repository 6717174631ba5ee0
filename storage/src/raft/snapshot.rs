//! Snapshot files: a head, frames of rows, an end mark; every part with its checksum.
//!
//! Written under a temporary name, synced, renamed, and the directory synced: a file with the
//! final name is whole or damaged, never half written.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crs_types::GroupId;
use crs_types::disk::{Disk, DiskFile};
use crs_types::envelope::{self, Version};
use openraft::SnapshotMeta;
use openraft::impls::EmptyNode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::table::Rows;

/// Version of the file's layout.
const VERSION: Version = Version(1);
const MAGIC: &[u8; 8] = b"CRSSNAP\x01";
/// Largest frame.
const FRAME_MAX: usize = 64 * 1024 * 1024;
/// Rows of one frame: to find a row in the file, a frame is read ([`super::SnapshotTable`]).
const FRAME_ROWS: usize = 32;
/// The file is read in pieces of this size.
const WINDOW: u64 = 1 << 20;

/// A snapshot file, and the disk it lies on.
#[derive(Clone)]
pub struct SnapshotFile {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// Its path below the disk's root.
    pub path: PathBuf,
    /// Its length in bytes.
    pub length: u64,
}

impl fmt::Debug for SnapshotFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SnapshotFile({}, {} bytes)", self.path.display(), self.length)
    }
}

/// What a snapshot covers.
pub type Meta = SnapshotMeta<u64, EmptyNode>;

/// Why a snapshot cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A file operation failed.
    #[error("{path}: {source}")]
    Io {
        /// The file below the data directory.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not a whole snapshot of this group.
    #[error("{path} is damaged at byte {offset}: {what}")]
    Damaged {
        /// The file below the data directory.
        path: String,
        /// Where.
        offset: u64,
        /// What is wrong.
        what: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Head {
    group: GroupId,
    meta: Meta,
}

/// What a frame holds.
#[derive(Serialize, Deserialize)]
enum Frame {
    Rows(Vec<(Bytes, Bytes)>),
    End { rows: u64 },
}

/// The same, without copying the rows.
#[derive(Deserialize)]
pub(super) enum FrameView<'a> {
    #[serde(borrow)]
    Rows(Vec<(&'a [u8], &'a [u8])>),
    End {
        rows: u64,
    },
}

type Bytes = crate::command::Body;

/// Directory of a group's snapshots.
pub(crate) fn dir(group: GroupId) -> PathBuf {
    PathBuf::from(format!("groups/{group}"))
}

impl SnapshotError {
    /// A sync of body segments failed.
    pub(super) fn bodies(source: io::Error) -> Self {
        Self::Io { path: "bodies".to_owned(), source }
    }
}

/// A snapshot being written.
pub(crate) struct SnapshotWriter {
    disk: Arc<dyn Disk>,
    group: GroupId,
    meta: Meta,
    temp: PathBuf,
    file: Arc<dyn DiskFile>,
    end: u64,
    /// Frames that are not written yet.
    buffer: Vec<u8>,
    rows: u64,
}

impl SnapshotWriter {
    pub(crate) fn create(
        disk: Arc<dyn Disk>,
        group: GroupId,
        meta: Meta,
    ) -> Result<Self, SnapshotError> {
        let dir = dir(group);
        let temp = dir.join(format!("{}.tmp", file_name(&meta)));
        let open = || {
            disk.create_dir(&dir)?;
            // A leftover of an earlier attempt may be longer than this one will be.
            match disk.remove(&temp) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                Ok(()) | Err(_) => {}
            }
            let file = disk.open(&temp, true)?;
            file.write_at(0, MAGIC)?;
            Ok(file)
        };
        let file = open().map_err(|e| at(&temp, e))?;
        let head = Head { group, meta: meta.clone() };
        let end = MAGIC.len() as u64;
        let buffer = Vec::new();
        let mut writer = Self { disk, group, meta, temp, file, end, buffer, rows: 0 };
        writer.frame(&head)?;
        Ok(writer)
    }

    pub(crate) fn rows(&mut self, rows: Rows) -> Result<(), SnapshotError> {
        self.rows += rows.len() as u64;
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let next = rows.by_ref().take(FRAME_ROWS);
            let next = next.map(|(key, value)| (Bytes::from(key), Bytes::from(value)));
            self.frame(&Frame::Rows(next.collect()))?;
        }
        self.flush()
    }

    /// Makes the file durable under its final name and removes older ones.
    pub(crate) fn finish(mut self) -> Result<(Meta, SnapshotFile), SnapshotError> {
        self.frame(&Frame::End { rows: self.rows })?;
        self.flush()?;
        let dir = dir(self.group);
        let path = dir.join(file_name(&self.meta));
        let publish = || {
            self.file.sync()?;
            self.disk.rename(&self.temp, &path)?;
            self.disk.sync_dir(&dir)
        };
        publish().map_err(|e| at(&path, e))?;
        remove_others(&*self.disk, &dir, &path);
        Ok((self.meta, SnapshotFile { disk: self.disk, path, length: self.end }))
    }

    /// Gives up and leaves no file behind.
    pub(crate) fn abandon(self) {
        // A leftover is removed by the next attempt or the next start.
        let _ = self.disk.remove(&self.temp);
    }

    fn frame<T: Serialize>(&mut self, value: &T) -> Result<(), SnapshotError> {
        let payload = envelope::encode(VERSION, value)
            .map_err(|e| damaged(&self.temp, self.end, &e.to_string()))?;
        self.buffer.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(&crc32c::crc32c(&payload).to_le_bytes());
        self.buffer.extend_from_slice(&payload);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SnapshotError> {
        self.file.write_at(self.end, &self.buffer).map_err(|e| at(&self.temp, e))?;
        self.end += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// A snapshot being read.
pub(crate) struct SnapshotReader {
    disk: Arc<dyn Disk>,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) path: PathBuf,
    length: u64,
    pub(super) at: u64,
    /// What was read ahead, and where it begins.
    window: (u64, Vec<u8>),
    rows: u64,
    pub(crate) meta: Meta,
}

impl SnapshotReader {
    pub(crate) fn open(
        disk: &Arc<dyn Disk>,
        group: GroupId,
        path: &Path,
    ) -> Result<Self, SnapshotError> {
        let io = |e| at(path, e);
        let file = disk.open(path, false).map_err(io)?;
        let length = file.len().map_err(io)?;
        let mut magic = [0; 8];
        file.read_at(0, &mut magic).map_err(io)?;
        if magic != *MAGIC {
            return Err(damaged(path, 0, "not a snapshot of a layout this program knows"));
        }
        let meta = Meta::default();
        let path = path.to_owned();
        let disk = Arc::clone(disk);
        let window = (0, Vec::new());
        let mut reader = Self { disk, file, path, length, at: 8, window, rows: 0, meta };
        let head: Head = reader.frame()?;
        if head.group != group {
            let what = format!("a snapshot of group {}, not of {group}", head.group);
            return Err(damaged(&reader.path, 8, &what));
        }
        reader.meta = head.meta;
        Ok(reader)
    }

    /// The next rows; `None` at the end, which is only reported when nothing is missing.
    pub(crate) fn next(&mut self) -> Result<Option<Rows>, SnapshotError> {
        match self.frame()? {
            Frame::Rows(rows) => {
                self.rows += rows.len() as u64;
                let plain = |bytes: Bytes| bytes.as_bytes().to_vec();
                Ok(Some(rows.into_iter().map(|(k, v)| (plain(k), plain(v))).collect()))
            }
            Frame::End { rows } => self.ended(rows, self.rows).map(|()| None),
        }
    }

    /// Checks that the end mark tells of as many rows as there were, and is the end.
    pub(super) fn ended(&self, told: u64, found: u64) -> Result<(), SnapshotError> {
        if told == found && self.at == self.length {
            return Ok(());
        }
        Err(damaged(&self.path, self.at, "rows are missing"))
    }

    pub(crate) fn file(&self) -> SnapshotFile {
        SnapshotFile { disk: Arc::clone(&self.disk), path: self.path.clone(), length: self.length }
    }

    fn frame<T: DeserializeOwned>(&mut self) -> Result<T, SnapshotError> {
        let at = self.at;
        let decoded = envelope::decode(VERSION, self.payload()?, FRAME_MAX);
        decoded.map_err(|e| damaged(&self.path, at, &e.to_string()))
    }

    /// The next frame, checked but not decoded.
    pub(super) fn payload(&mut self) -> Result<&[u8], SnapshotError> {
        let at = self.at;
        let head = self.ahead(at, 8)?.first_chunk().copied().unwrap_or_default();
        let [l0, l1, l2, l3, c0, c1, c2, c3] = head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let whole = self.ahead(at + 8, length)?;
        if crc32c::crc32c(whole) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(damaged(&self.path, at, "the checksum does not match"));
        }
        self.at = at + 8 + length as u64;
        self.ahead(at + 8, length)
    }

    /// Bytes of the file, of which more are read ahead.
    fn ahead(&mut self, from: u64, length: usize) -> Result<&[u8], SnapshotError> {
        if length > FRAME_MAX || from + length as u64 > self.length {
            return Err(damaged(&self.path, self.at, "the file ends too early"));
        }
        let (start, bytes) = &mut self.window;
        let held = *start <= from && from + length as u64 <= *start + bytes.len() as u64;
        if !held {
            let wanted = WINDOW.max(length as u64).min(self.length - from);
            bytes.resize(wanted as usize, 0);
            *start = from;
            self.file.read_at(from, bytes).map_err(|e| at(&self.path, e))?;
        }
        let skip = (from - *start) as usize;
        Ok(bytes.get(skip..skip + length).unwrap_or_default())
    }
}

/// A frame's rows out of its payload.
pub(super) fn view<'a>(
    path: &Path,
    offset: u64,
    payload: &'a [u8],
) -> Result<FrameView<'a>, SnapshotError> {
    envelope::decode_borrowed(VERSION, payload).map_err(|e| damaged(path, offset, &e.to_string()))
}

/// Path of a group's newest snapshot; leftovers of unfinished ones are removed.
pub(crate) fn newest(disk: &dyn Disk, group: GroupId) -> Result<Option<PathBuf>, SnapshotError> {
    let dir = dir(group);
    let list = || {
        disk.create_dir(&dir)?;
        disk.list(&dir)
    };
    let names = list().map_err(|e| at(&dir, e))?;
    let newest = names.iter().filter(|name| name.ends_with(".snp")).max();
    let path = newest.map(|name| dir.join(name));
    for name in names.iter().filter(|name| name.ends_with(".tmp")) {
        // Only space is at stake.
        let _ = disk.remove(&dir.join(name));
    }
    Ok(path)
}

/// Takes a received snapshot into the group's directory, after checking all of it.
pub(crate) fn adopt(
    disk: &Arc<dyn Disk>,
    group: GroupId,
    source: &SnapshotFile,
) -> Result<SnapshotFile, SnapshotError> {
    let mut reader = SnapshotReader::open(&source.disk, group, &source.path)?;
    let mut writer = SnapshotWriter::create(Arc::clone(disk), group, reader.meta.clone())?;
    while let Some(rows) = reader.next()? {
        writer.rows(rows)?;
    }
    writer.finish().map(|(_, file)| file)
}

fn remove_others(disk: &dyn Disk, dir: &Path, keep: &Path) {
    let names = disk.list(dir).unwrap_or_default();
    let others = names.iter().filter(|name| name.ends_with(".snp")).map(|name| dir.join(name));
    for other in others.filter(|other| other < &keep.to_path_buf()) {
        // A leftover only takes space; the newest is always preferred.
        let _ = disk.remove(&other);
    }
}

/// Names sort by what the snapshots cover.
fn file_name(meta: &Meta) -> String {
    let (index, term) = meta.last_log_id.map_or((0, 0), |id| (id.index, id.leader_id.term));
    format!("{index:016x}-{term:016x}.snp")
}

fn at(path: &Path, source: io::Error) -> SnapshotError {
    SnapshotError::Io { path: path.display().to_string(), source }
}

pub(super) fn damaged(path: &Path, offset: u64, what: &str) -> SnapshotError {
    let path = path.display().to_string();
    SnapshotError::Damaged { path, offset, what: what.to_owned() }
}
