//! Content-addressed files: update packages and other objects. Written under a temporary name,
//! synced, renamed, and the directory synced, before anything durable may name them.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crs_types::BlobHash;
use crs_types::disk::Disk;
use sha2::{Digest, Sha256};

use super::{ReadError, WriteError};
use crate::wal::is_full;

const DIR: &str = "blobs";
/// Largest blob in bytes: the content of the largest update file.
pub const BLOB_MAX: usize = 256 * 1024 * 1024;

/// Stores bytes durably and returns their name.
pub(super) fn put(disk: &dyn Disk, bytes: &[u8]) -> Result<BlobHash, WriteError> {
    if bytes.len() > BLOB_MAX {
        let (limit, found) = (BLOB_MAX as u64, bytes.len() as u64);
        return Err(WriteError::TooLarge { limit, found });
    }
    let hash = hash_of(bytes);
    let temp = Path::new(DIR).join(format!("{hash}.tmp"));
    let write = || {
        disk.create_dir(Path::new(DIR))?;
        let file = disk.open(&temp, true)?;
        file.write_at(0, bytes)?;
        file.sync()?;
        disk.rename(&temp, &path(hash))?;
        disk.sync_dir(Path::new(DIR))
    };
    match write() {
        Ok(()) => Ok(hash),
        Err(e) => {
            // A leftover is removed with everything else that nothing refers to.
            let _ = disk.remove(&temp);
            let what = e.to_string();
            Err(if is_full(&e) { WriteError::DiskFull(what) } else { WriteError::Disk(what) })
        }
    }
}

/// The bytes of a blob, checked against its name.
pub(super) fn get(disk: &dyn Disk, hash: BlobHash) -> Result<Vec<u8>, ReadError> {
    let path = path(hash);
    let missing = |e: &io::Error| e.kind() == io::ErrorKind::NotFound;
    match disk.read(&path) {
        Ok(bytes) if hash_of(&bytes) == hash => Ok(bytes),
        Ok(_) => Err(ReadError::Damaged { file: path.display().to_string() }),
        Err(e) if missing(&e) => Err(ReadError::NoBlob(hash)),
        Err(e) => Err(ReadError::Unavailable(format!("{}: {e}", path.display()))),
    }
}

/// Pieces of a blob (offset, length), without reading the rest. Unlike [`get`] this does not check
/// the content: what is served in pieces is signed by its maker.
pub(super) fn pieces(
    disk: &dyn Disk,
    hash: BlobHash,
    pieces: &[(u64, usize)],
) -> Result<Vec<Vec<u8>>, ReadError> {
    let path = path(hash);
    let read = || {
        let file = disk.open(&path, false)?;
        let piece = |(offset, length): &(u64, usize)| {
            let mut out = vec![0; *length];
            file.read_at(*offset, &mut out).map(|()| out)
        };
        pieces.iter().map(piece).collect::<io::Result<_>>()
    };
    read().map_err(|e: io::Error| {
        if e.kind() == io::ErrorKind::NotFound {
            ReadError::NoBlob(hash)
        } else {
            ReadError::Unavailable(format!("{}: {e}", path.display()))
        }
    })
}

/// Removes every file that is not the blob of a name in `keep`.
pub(super) fn retain(disk: &dyn Disk, keep: &BTreeSet<BlobHash>) -> io::Result<u64> {
    let keep: BTreeSet<String> = keep.iter().map(BlobHash::to_string).collect();
    disk.create_dir(Path::new(DIR))?;
    let mut removed = 0;
    for name in disk.list(Path::new(DIR))? {
        if !keep.contains(&name) {
            disk.remove(&Path::new(DIR).join(name))?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn path(hash: BlobHash) -> PathBuf {
    Path::new(DIR).join(hash.to_string())
}

fn hash_of(bytes: &[u8]) -> BlobHash {
    BlobHash(Sha256::digest(bytes).into())
}
