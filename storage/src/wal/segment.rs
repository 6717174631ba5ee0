//! Segment files: name, header, preallocation.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crs_types::disk::{Disk, DiskFile};

use super::record::u64_at;

/// Directory of the log below the data directory.
pub(super) const DIR: &str = "wal";
/// The file that is given up when the disk is full.
pub(super) const RESERVE: &str = "wal/reserve";
/// Records start here.
pub(super) const START: u64 = 64;

const MAGIC: &[u8; 8] = b"CRSWAL\x00\x01";
const HEADER: usize = 24;

/// Where a segment is.
pub(super) fn path(number: u64) -> PathBuf {
    PathBuf::from(format!("{DIR}/{number:016x}.wal"))
}

/// The number in a segment's file name.
pub(super) fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".wal")?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?
}

/// Makes a segment with all its blocks reserved; leaves nothing behind when it cannot.
pub(super) fn create(disk: &dyn Disk, number: u64, size: u64) -> io::Result<Arc<dyn DiskFile>> {
    let path = path(number);
    let made = disk.open(&path, true).and_then(|file| {
        file.reserve(size)?;
        file.write_at(0, &header(number))?;
        file.sync()?;
        disk.sync_dir(Path::new(DIR))?;
        Ok(file)
    });
    if made.is_err() {
        // What failed may have been made in part; a leftover would only waste space.
        let _ = disk.remove(&path);
    }
    made
}

/// True when the bytes start with the header of this segment.
pub(super) fn has_header(bytes: &[u8], number: u64) -> bool {
    bytes.get(..HEADER) == Some(header(number).as_slice())
}

/// True when the bytes start with a header of a layout this program does not know.
pub(super) fn foreign_version(bytes: &[u8]) -> Option<u8> {
    let newer = bytes.get(..7) == Some(&MAGIC[..7]) && bytes.get(7) != Some(&MAGIC[7]);
    let crc_ok = u64_at(bytes, 16) == u64::from(crc32c::crc32c(bytes.get(..16)?));
    if newer && crc_ok { bytes.get(7).copied() } else { None }
}

fn header(number: u64) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    out[..8].copy_from_slice(MAGIC);
    out[8..16].copy_from_slice(&number.to_le_bytes());
    let crc = u64::from(crc32c::crc32c(&out[..16]));
    out[16..].copy_from_slice(&crc.to_le_bytes());
    out
}
