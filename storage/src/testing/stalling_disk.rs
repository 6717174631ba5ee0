//! A disk that stops answering: some calls wait until it goes on. Nothing fails.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crs_types::disk::{Disk, DiskFile};

use super::FakeDisk;

/// What waits while the disk stalls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stalls {
    /// Syncs of the log.
    #[default]
    LogSyncs,
    /// Renames of snapshots into their place.
    SnapshotRenames,
}

/// The disk. Clones share it.
#[derive(Clone, Default)]
pub struct StallingDisk {
    disk: FakeDisk,
    stalls: Stalls,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    closed: bool,
    waiting: usize,
}

struct StallingFile {
    file: Arc<dyn DiskFile>,
    gate: Arc<Gate>,
}

impl StallingDisk {
    /// A disk over another one.
    pub fn over(disk: FakeDisk, stalls: Stalls) -> Self {
        Self { disk, stalls, gate: Arc::default() }
    }

    /// From now on such a call does not return, until the stall is dropped. (A test that fails
    /// drops it, too: otherwise it would hang with the disk.)
    pub fn stall(&self) -> Stall {
        self.gate.lock().closed = true;
        Stall(Arc::clone(&self.gate))
    }

    /// Waits until a call hangs. Blocks.
    pub fn wait_stalled(&self) {
        let mut state = self.gate.lock();
        while state.waiting == 0 {
            state = self.gate.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A disk that stalls. Dropped, calls return again, those that wait, too.
pub struct Stall(Arc<Gate>);

impl Drop for Stall {
    fn drop(&mut self) {
        self.0.lock().closed = false;
        self.0.changed.notify_all();
    }
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self) {
        let mut state = self.lock();
        state.waiting += 1;
        self.changed.notify_all();
        while state.closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting -= 1;
    }
}

impl Disk for StallingDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(path, create)?;
        let log = path.extension().is_some_and(|ending| ending == "wal");
        if self.stalls != Stalls::LogSyncs || !log {
            return Ok(file);
        }
        Ok(Arc::new(StallingFile { file, gate: Arc::clone(&self.gate) }))
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
        if self.stalls == Stalls::SnapshotRenames && to.starts_with("groups") {
            self.gate.pass();
        }
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

impl DiskFile for StallingFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, out)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        self.file.reserve(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.gate.pass();
        self.file.sync()
    }
}
