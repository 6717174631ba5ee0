//! The profile's directory with its lock. A client that was dropped may still have a write under way
//! on a thread of its own; whoever holds the disk keeps the next one out until that has ended.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crs_types::disk::{Disk, DiskFile, OsDisk};

/// The disk.
pub(super) struct LockedDisk {
    pub(super) disk: OsDisk,
    /// Released when the last user of the disk is gone.
    pub(super) _lock: File,
}

impl Disk for LockedDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(path, create)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.disk.read(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk.list(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }

    fn real_root(&self) -> Option<PathBuf> {
        self.disk.real_root()
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::Callers;
    use crate::profile::Profile;

    #[test]
    fn a_journal_that_may_still_be_written_keeps_the_next_client_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile");
        let profile = Profile::create(&path, Callers::new().called()).unwrap();
        let journal = profile.outbox().unwrap().journal;
        drop(profile);
        let why = Profile::open(&path).err().expect("it is in use").to_string();
        assert!(why.contains("in use by another crs-client"), "{why}");
        drop(journal);
        Profile::open(&path).unwrap();
    }
}
