//! Tables in sled, the only module that names it.
//!
//! Sled's flush is not a sync on Linux, and a crash may lose or garble its tail. That is harmless
//! because tables are a cache: they are trusted only when all of them were whole, and after a
//! clean close or when the machine has not been rebooted since (the process died, the page cache
//! did not). Otherwise they are rebuilt from snapshot and log.
//!
//! Sled does not survive a full disk: after one failed write-back every call fails. Then the
//! tables move into memory (posts are refused meanwhile, so they do not grow) until there is
//! room again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::table::memory::MemoryEngine;
use crate::table::{Changes, Engine, Kv, Rows, TableError};

/// Names the boot during which the tables are in use; `clean` when they are not.
const MARKER: &str = "in-use";
const CLEAN: &str = "clean";

/// All tables of a node in one sled database.
pub(crate) struct SledEngine {
    path: PathBuf,
    cache_bytes: u64,
    suspect: AtomicBool,
    state: Mutex<State>,
}

struct State {
    db: Option<sled::Db>,
    /// False from when a table was cleared until all are whole again.
    whole: bool,
    /// In place of the database while the disk is full.
    memory: Option<MemoryEngine>,
    /// Every handle that was given out; they are cut off when the database starts over.
    handles: BTreeMap<String, Arc<SledTable>>,
}

/// Where tables are started over.
#[derive(Clone, Copy)]
enum Home {
    Disk,
    Memory,
}

struct SledTable {
    tree: RwLock<Option<sled::Tree>>,
}

impl SledEngine {
    /// Opens the database below `path`, or starts a fresh one when it cannot be opened.
    pub(crate) fn open(path: &Path, cache_bytes: u64) -> Result<Self, TableError> {
        fs::create_dir_all(path).map_err(|e| TableError::disk(&e))?;
        let marker = fs::read_to_string(path.join(MARKER)).unwrap_or_default();
        let trusted = marker == CLEAN || (!marker.is_empty() && marker == boot_id());
        let state = State { db: None, whole: trusted, memory: None, handles: BTreeMap::new() };
        let state = Mutex::new(state);
        let this =
            Self { path: path.to_owned(), cache_bytes, suspect: AtomicBool::new(!trusted), state };
        if !trusted {
            // Nothing in it will be read, and opening a large database takes seconds.
            this.reset(&mut this.lock(), Home::Disk)?;
            return Ok(this);
        }
        match open_db(path, cache_bytes).and_then(|db| this.mark().map(|()| db)) {
            Ok(db) => this.lock().db = Some(db),
            Err(failure) => {
                tracing::warn!(%failure, "the tables cannot be opened; starting over");
                this.suspect.store(true, Ordering::Release);
                this.reset(&mut this.lock(), Home::Disk)?;
            }
        }
        Ok(this)
    }

    /// Notes that the tables are in use during this boot. Durably: a power cut must not bring the
    /// mark of the last clean close back.
    fn mark(&self) -> Result<(), TableError> {
        let path = self.path.join(MARKER);
        let noted = fs::write(&path, boot_id())
            .and_then(|()| fs::File::open(&path)?.sync_all())
            .and_then(|()| fs::File::open(&self.path)?.sync_all());
        noted.map_err(|e| TableError::disk(&e))
    }

    /// Notes that the tables are not to be trusted.
    fn unmark(&self, state: &mut State) -> Result<(), TableError> {
        state.whole = false;
        match fs::remove_file(self.path.join(MARKER)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(TableError::disk(&e)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Throws the whole database away. Other groups' handles fail from now on, which makes
    /// those groups rebuild as well.
    fn reset(&self, state: &mut State, to: Home) -> Result<(), TableError> {
        for handle in state.handles.values() {
            *handle.tree.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        state.handles.clear();
        state.db = None;
        state.memory = None;
        state.whole = false;
        let fresh = match to {
            Home::Disk => start_over(&self.path)
                .and_then(|()| open_db(&self.path, self.cache_bytes))
                .and_then(|db| try_out(&db).map(|()| db)),
            Home::Memory => Err(TableError::Engine("they failed just now".to_owned())),
        };
        match fresh {
            Ok(db) => state.db = Some(db),
            Err(failure) => {
                tracing::warn!(%failure, "the tables cannot be on the disk; they are in memory now");
                state.memory = Some(MemoryEngine::default());
                // What is left of them takes space; without its marker it is never trusted.
                let _ = start_over(&self.path);
            }
        }
        Ok(())
    }
}

impl Engine for SledEngine {
    fn open(&self, name: &str) -> Result<Arc<dyn Kv>, TableError> {
        let mut state = self.lock();
        if state.db.is_none() && state.memory.is_none() {
            self.reset(&mut state, Home::Disk)?;
        }
        if let Some(memory) = &state.memory {
            return memory.open(name);
        }
        let Some(db) = &state.db else {
            return Err(TableError::Engine("no database".to_owned()));
        };
        let tree = db.open_tree(name).map_err(engine)?;
        let table = Arc::new(SledTable { tree: RwLock::new(Some(tree)) });
        state.handles.insert(name.to_owned(), Arc::clone(&table));
        Ok(table)
    }

    fn clear(&self, name: &str) -> Result<(), TableError> {
        let mut state = self.lock();
        if let Some(memory) = &state.memory {
            return memory.clear(name);
        }
        self.unmark(&mut state)?;
        let cleared = match &state.db {
            Some(db) => db.open_tree(name).and_then(|tree| {
                // A write-back shows whether the database still works at all.
                tree.clear()?;
                db.flush().map(|_| ())
            }),
            None => return self.reset(&mut state, Home::Disk),
        };
        match cleared {
            Ok(()) => Ok(()),
            Err(failure) => {
                tracing::warn!(%failure, "the tables are thrown away");
                // On a full disk a fresh database would fail in the middle of the rebuild.
                self.reset(&mut state, Home::Memory)
            }
        }
    }

    fn suspect(&self) -> bool {
        self.suspect.load(Ordering::Acquire)
    }

    fn displaced(&self) -> bool {
        self.lock().memory.is_some()
    }

    fn replace(&self) {
        self.lock().memory = None;
    }

    fn settle(&self) -> Result<(), TableError> {
        let mut state = self.lock();
        if state.db.is_some() && !state.whole {
            self.mark()?;
            state.whole = true;
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), TableError> {
        match &self.lock().db {
            Some(db) => db.flush().map(|_| ()).map_err(engine),
            None => Ok(()),
        }
    }

    fn close(&self) -> Result<(), TableError> {
        let mut state = self.lock();
        for handle in state.handles.values() {
            *handle.tree.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        state.handles.clear();
        let Some(db) = state.db.take() else { return Ok(()) };
        if !state.whole {
            return Ok(());
        }
        db.flush().map_err(engine)?;
        drop(db);
        // Sled leaves the file to the page cache; the marker must not overtake it.
        let file = fs::File::open(self.path.join("db")).and_then(|file| file.sync_all());
        file.map_err(|e| TableError::disk(&e))?;
        fs::write(self.path.join(MARKER), CLEAN).map_err(|e| TableError::disk(&e))?;
        let marker = fs::File::open(self.path.join(MARKER)).and_then(|file| file.sync_all());
        marker.map_err(|e| TableError::disk(&e))
    }

    fn bytes(&self) -> u64 {
        let state = self.lock();
        state.db.as_ref().and_then(|db| db.size_on_disk().ok()).unwrap_or(0)
    }
}

impl SledTable {
    fn with<T>(
        &self,
        f: impl FnOnce(&sled::Tree) -> Result<T, sled::Error>,
    ) -> Result<T, TableError> {
        let tree = self.tree.read().unwrap_or_else(PoisonError::into_inner);
        match tree.as_ref() {
            Some(tree) => f(tree).map_err(engine),
            None => Err(TableError::Engine("the tables are being rebuilt".to_owned())),
        }
    }
}

impl Kv for SledTable {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        self.with(|tree| Ok(tree.get(key)?.map(|value| value.to_vec())))
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Rows, TableError> {
        if from >= to {
            return Ok(Vec::new());
        }
        self.with(|tree| {
            let found = tree.range(from..to).take(limit);
            found.map(|row| row.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect()
        })
    }

    fn write(&self, changes: &Changes) -> Result<(), TableError> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key.as_slice(), value.as_slice()),
                None => batch.remove(key.as_slice()),
            }
        }
        self.with(|tree| tree.apply_batch(batch))
    }
}

fn open_db(path: &Path, cache_bytes: u64) -> Result<sled::Db, TableError> {
    let config = sled::Config::new()
        .path(path)
        .cache_capacity(cache_bytes)
        .mode(sled::Mode::HighThroughput)
        .flush_every_ms(Some(500));
    config.open().map_err(engine)
}

/// Writes something through to the disk: sled opens on a full one and fails afterwards.
fn try_out(db: &sled::Db) -> Result<(), TableError> {
    let tree = db.open_tree("try-out").map_err(engine)?;
    for n in 0..64u8 {
        tree.insert([n], vec![n; 4_096]).map_err(engine)?;
    }
    db.flush().map_err(engine)?;
    db.drop_tree("try-out").map_err(engine)?;
    db.flush().map(|_| ()).map_err(engine)
}

fn start_over(path: &Path) -> Result<(), TableError> {
    let removed = match fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        Ok(()) | Err(_) => fs::create_dir_all(path),
    };
    removed.map_err(|e| TableError::disk(&e))
}

fn engine(error: sled::Error) -> TableError {
    TableError::Engine(error.to_string())
}

/// Changes with every boot of the machine; empty where the system has none, which never matches.
fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}
