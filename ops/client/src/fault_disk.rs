//! A disk in memory that gets full, fails a sync, or loses its power at any operation; what was not
//! synced may be there afterwards, or not, or in part.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crs_types::disk::{Disk, DiskFile};

/// What of the unsynced data is there after a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Survives {
    /// Only what was synced.
    Synced,
    /// Everything.
    All,
    /// Half of the bytes that were added.
    Half,
    /// The length, and zeros in place of the bytes that were added.
    Length,
}

impl Survives {
    pub(crate) const ALL: [Self; 4] = [Self::Synced, Self::All, Self::Half, Self::Length];
}

#[derive(Debug, Clone, Default)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
struct State {
    files: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
    /// Changes until the power goes; for ever without.
    left: Option<usize>,
    full: bool,
    sync_fails: bool,
}

/// The disk; clones are the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct FaultDisk(Arc<Mutex<State>>);

struct FaultFile(FaultDisk, usize);

impl FaultDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes fail half-way from now on, or succeed again.
    pub(crate) fn fill(&self, full: bool) {
        self.state().full = full;
    }

    /// The next sync fails.
    pub(crate) fn fail_sync(&self) {
        self.state().sync_fails = true;
    }

    /// After this many changes nothing works any more.
    pub(crate) fn lose_power_after(&self, changes: usize) {
        self.state().left = Some(changes);
    }

    /// True when the power is gone.
    pub(crate) fn is_dead(&self) -> bool {
        self.state().left == Some(0)
    }

    /// The disk after a restart; `renames`: names that were not synced are there, too.
    pub(crate) fn restarted(&self, survives: Survives, renames: bool) -> Self {
        let old = self.state().clone();
        let names = if renames { old.names } else { old.synced_names };
        let files = old.files.into_iter().map(|file| {
            let now = remains(&file, survives);
            Content { synced: now.clone(), now }
        });
        let files = files.collect();
        let synced_names = names.clone();
        let state = State { files, names, synced_names, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// The content of a file.
    pub(crate) fn content(&self, name: &str) -> Vec<u8> {
        self.read(Path::new(name)).unwrap_or_default()
    }
}

fn remains(file: &Content, survives: Survives) -> Vec<u8> {
    let Content { now, synced } = file;
    let common = synced.iter().zip(now).take_while(|(a, b)| a == b).count();
    match survives {
        Survives::Synced => synced.clone(),
        Survives::All => now.clone(),
        Survives::Half => now[..common + (now.len() - common) / 2].to_vec(),
        Survives::Length => {
            let mut bytes = now[..common].to_vec();
            bytes.resize(now.len(), 0);
            bytes
        }
    }
}

impl State {
    /// One change; `Err` when the power is gone, with the change that it interrupts.
    fn spend(&mut self) -> io::Result<()> {
        match &mut self.left {
            Some(0) => Err(io::Error::other("no power")),
            Some(left) => {
                *left -= 1;
                if *left == 0 { Err(io::Error::other("the power goes")) } else { Ok(()) }
            }
            None => Ok(()),
        }
    }
}

impl Disk for FaultDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        let known = state.names.get(path).copied();
        let file = match known {
            Some(file) => file,
            None if create => {
                state.spend()?;
                state.files.push(Content::default());
                let file = state.files.len() - 1;
                state.names.insert(path.to_owned(), file);
                file
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Arc::new(FaultFile(self.clone(), file)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.state();
        let file = state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(state.files[*file].now.clone())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().map(|path| path.display().to_string()).collect())
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.spend()?;
        let file = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.spend()?;
        state.names.remove(path).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.spend()?;
        state.synced_names = state.names.clone();
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn real_root(&self) -> Option<PathBuf> {
        None
    }
}

impl DiskFile for FaultFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.state();
        let alive = state.spend();
        if state.left == Some(0) && alive.as_ref().is_err_and(|e| e.to_string() == "no power") {
            return alive;
        }
        let cut = alive.is_err() || state.full;
        let bytes = if cut { &bytes[..bytes.len() / 2] } else { bytes };
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        let now = &mut state.files[self.1].now;
        now.resize(now.len().max(at + bytes.len()), 0);
        now[at..at + bytes.len()].copy_from_slice(bytes);
        alive?;
        if cut { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        let state = self.0.state();
        let found = state.files[self.1].now.get(at..at + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.state().files[self.1].now.len() as u64)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.0.state();
        state.spend()?;
        let length = usize::try_from(length).map_err(io::Error::other)?;
        state.files[self.1].now.resize(length, 0);
        Ok(())
    }

    fn reserve(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.0.state();
        state.spend()?;
        if std::mem::take(&mut state.sync_fails) {
            return Err(io::Error::other("the sync fails"));
        }
        let file = &mut state.files[self.1];
        file.synced = file.now.clone();
        Ok(())
    }
}
