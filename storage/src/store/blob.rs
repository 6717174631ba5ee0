//! Content-addressed files: update packages and other objects. Written under a temporary name,
//! synced, renamed, and the directory synced, before anything durable may name them.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crs_types::BlobHash;
use crs_types::disk::Disk;
use sha2::{Digest, Sha256};

use super::{ReadError, WriteError};
use crate::wal::is_full;

const DIR: &str = "blobs";
/// Largest blob in bytes: the content of the largest update file.
pub const BLOB_MAX: usize = crs_types::limits::UPDATE_FILE_MAX;
const TEMPORARY: &str = ".tmp";

/// A blob that was stored for a command to name it. It is kept until [`PutBlob::decided`], and
/// when nobody says so (the command's outcome is unknown) until the next start: a command that is
/// still under way must find it.
#[derive(Debug)]
pub struct PutBlob {
    hash: BlobHash,
    decided: Arc<AtomicBool>,
}

impl PutBlob {
    /// A blob with this name that no store keeps (for fakes).
    pub fn new(hash: BlobHash) -> Self {
        Self { hash, decided: Arc::default() }
    }

    /// Its name.
    pub fn hash(&self) -> BlobHash {
        self.hash
    }

    /// The command that names it is applied, or never will be: from now on the blob is there only
    /// as long as an account refers to it.
    pub fn decided(self) {
        self.decided.store(true, Ordering::Release);
    }
}

/// Blobs that were put and that a command may be about to name.
#[derive(Debug, Default)]
pub(super) struct Pins(Mutex<Vec<(BlobHash, Arc<AtomicBool>)>>);

impl Pins {
    /// Before its file is written. Waits while a file is being removed.
    fn pin(&self, hash: BlobHash) -> PutBlob {
        let put = PutBlob::new(hash);
        let mut pins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pins.retain(|(_, decided)| !decided.load(Ordering::Acquire));
        pins.push((hash, Arc::clone(&put.decided)));
        put
    }
}

/// Stores bytes durably and keeps them until it is decided what becomes of them.
pub(super) fn put(disk: &dyn Disk, pins: &Pins, bytes: &[u8]) -> Result<PutBlob, WriteError> {
    if bytes.len() > BLOB_MAX {
        let (limit, found) = (BLOB_MAX as u64, bytes.len() as u64);
        return Err(WriteError::TooLarge { limit, found });
    }
    let hash = hash_of(bytes);
    let put = pins.pin(hash);
    let temp = Path::new(DIR).join(format!("{hash}{TEMPORARY}"));
    let write = || {
        disk.create_dir(Path::new(DIR))?;
        let file = disk.open(&temp, true)?;
        file.write_at(0, bytes)?;
        file.sync()?;
        disk.rename(&temp, &path(hash))?;
        disk.sync_dir(Path::new(DIR))
    };
    match write() {
        Ok(()) => Ok(put),
        Err(e) => {
            put.decided();
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

/// Files that are no blob of a name in `keep`.
pub(super) fn others(disk: &dyn Disk, keep: &BTreeSet<BlobHash>) -> io::Result<BTreeSet<String>> {
    let keep: BTreeSet<String> = keep.iter().map(BlobHash::to_string).collect();
    let names = match disk.list(Path::new(DIR)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        listed => listed?,
    };
    Ok(names.into_iter().filter(|name| !keep.contains(name)).collect())
}

/// Removes those of the files `names` that are not kept by a pin and not `referenced`; returns how
/// many. Each is decided on by itself: what was put or named since they were listed stays.
pub(super) fn remove(
    disk: &dyn Disk,
    pins: &Pins,
    names: &BTreeSet<String>,
    referenced: impl Fn() -> BTreeSet<BlobHash>,
) -> io::Result<u64> {
    let mut removed = 0;
    for name in names {
        let of = |hash: &BlobHash| {
            let hash = hash.to_string();
            name.strip_suffix(TEMPORARY).unwrap_or(name) == hash
        };
        // Held over the removal, so that nobody puts the same blob meanwhile.
        let pins = pins.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The pins first: a command is applied before its blob's pin goes.
        let undecided = |decided: &AtomicBool| !decided.load(Ordering::Acquire);
        if pins.iter().any(|(hash, decided)| of(hash) && undecided(decided))
            || referenced().iter().any(of)
        {
            continue;
        }
        disk.remove(&Path::new(DIR).join(name))?;
        removed += 1;
    }
    Ok(removed)
}

fn path(hash: BlobHash) -> PathBuf {
    Path::new(DIR).join(hash.to_string())
}

fn hash_of(bytes: &[u8]) -> BlobHash {
    BlobHash(Sha256::digest(bytes).into())
}
