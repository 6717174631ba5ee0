//! A disk in memory that behaves as badly as a disk may: it forgets what was not synced, tears
//! the last write, is full, or fails a sync. Deterministic: the same calls give the same state.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crs_types::disk::{Disk, DiskFile};

/// What goes wrong, counted from when the plan is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Plan {
    /// All calls from this step on fail, as if the process had died before it. Every write,
    /// reserve, cut, sync, create, rename and remove is a step.
    pub die_at: Option<u64>,
    /// This sync (counted from 1) fails once with EIO.
    pub fail_sync: Option<u64>,
    /// Bytes that may still be allocated.
    pub free: Option<u64>,
    /// Files that may still be made, as when inodes run out.
    pub names: Option<u64>,
    /// Every change is refused, as after a remount that allows reading only.
    pub read_only: bool,
}

/// The disk. Clones share it; [`FakeDisk::crash`] gives what a restart would find.
#[derive(Clone, Default)]
pub struct FakeDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Default)]
struct State {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    plan: Plan,
    steps: u64,
    syncs: u64,
    /// The last write since the last sync of its file: node, offset, length.
    last_write: Option<(u64, usize, usize)>,
}

#[derive(Clone, Default)]
struct Node {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// Writes since the last sync: offset and bytes, in order.
    unsynced: Vec<(usize, Vec<u8>)>,
    allocated: u64,
}

struct FakeFile {
    disk: FakeDisk,
    node: u64,
}

impl FakeDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what goes wrong and starts counting anew.
    pub fn plan(&self, plan: Plan) {
        let mut state = self.lock();
        state.plan = plan;
        state.steps = 0;
        state.syncs = 0;
    }

    /// Steps since the plan was set.
    pub fn steps(&self) -> u64 {
        self.lock().steps
    }

    /// Syncs of files since the plan was set.
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// True once `die_at` was reached.
    pub fn dead(&self) -> bool {
        let state = self.lock();
        state.plan.die_at.is_some_and(|at| state.steps >= at)
    }

    /// What is on the disk after power was lost: nothing that was not synced, but for the first
    /// `torn` bytes of the last write.
    pub fn crash(&self, torn: usize) -> Self {
        let mut state = self.lock().clone();
        state.names = state.durable_names.clone();
        let last = state.last_write.take();
        for (id, node) in &mut state.nodes {
            let mut kept = node.durable.clone();
            if let Some((owner, offset, length)) = last
                && owner == *id
            {
                let take = torn.min(length);
                let from = node.bytes.get(offset..offset + take).unwrap_or_default().to_vec();
                write_into(&mut kept, offset, &from);
            }
            node.bytes = kept;
            node.durable = node.bytes.clone();
            node.unsynced.clear();
        }
        state.restart()
    }

    /// What is on the disk after the process alone was killed: everything that was written.
    pub fn kill(&self) -> Self {
        let mut state = self.lock().clone();
        state.durable_names = state.names.clone();
        for node in state.nodes.values_mut() {
            node.durable = node.bytes.clone();
            node.unsynced.clear();
        }
        state.restart()
    }

    /// Length of the last write since the last sync, for tearing it.
    pub fn last_write_len(&self) -> usize {
        self.lock().last_write.map_or(0, |(_, _, length)| length)
    }

    /// Inverts one bit of a file, durably.
    pub fn flip_bit(&self, path: &Path, byte: usize) {
        let mut state = self.lock();
        let Some(id) = state.names.get(path).copied() else { return };
        if let Some(node) = state.nodes.get_mut(&id) {
            for bytes in [&mut node.bytes, &mut node.durable] {
                if let Some(byte) = bytes.get_mut(byte) {
                    *byte ^= 1;
                }
            }
        }
    }

    /// Removes a directory with all that is in it, durably.
    pub fn remove_tree(&self, path: &Path) {
        let mut state = self.lock();
        state.names.retain(|name, _| !name.starts_with(path));
        state.durable_names.retain(|name, _| !name.starts_with(path));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn restart(mut self) -> FakeDisk {
        self.plan = Plan::default();
        self.steps = 0;
        self.syncs = 0;
        self.last_write = None;
        let live: Vec<u64> = self.names.values().copied().collect();
        self.nodes.retain(|id, _| live.contains(id));
        FakeDisk { state: Arc::new(Mutex::new(self)) }
    }

    fn step(&mut self) -> io::Result<()> {
        if self.plan.die_at.is_some_and(|at| self.steps >= at) {
            return Err(io::Error::other("the process is dead"));
        }
        self.steps += 1;
        if self.plan.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(())
    }

    fn find(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Takes an inode for a new file, or says that there are none.
    fn take_name(&mut self) -> io::Result<()> {
        if let Some(names) = &mut self.plan.names {
            *names = names.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        }
        Ok(())
    }

    /// Takes blocks for a file up to `length`, or says that the disk is full.
    fn allocate(&mut self, id: u64, length: u64) -> io::Result<()> {
        let Some(node) = self.nodes.get_mut(&id) else { return Ok(()) };
        let more = length.saturating_sub(node.allocated);
        if let Some(free) = &mut self.plan.free {
            if more > *free {
                return Err(io::ErrorKind::StorageFull.into());
            }
            *free -= more;
        }
        node.allocated += more;
        Ok(())
    }
}

impl Disk for FakeDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        let found = state.names.get(path).copied();
        let node = match found {
            Some(node) => node,
            None if !create => return Err(io::ErrorKind::NotFound.into()),
            None => {
                state.step()?;
                state.take_name()?;
                state.next += 1;
                let id = state.next;
                state.nodes.insert(id, Node::default());
                state.names.insert(path.to_owned(), id);
                id
            }
        };
        Ok(Arc::new(FakeFile { disk: self.clone(), node }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.lock();
        let id = state.find(path)?;
        Ok(state.nodes.get(&id).map(|node| node.bytes.clone()).unwrap_or_default())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.lock();
        let inside = state.names.keys().filter(|name| name.parent() == Some(path));
        let names = inside.filter_map(|name| name.file_name());
        Ok(names.map(|name| name.to_string_lossy().into_owned()).collect())
    }

    fn create_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.step()?;
        let id = state.find(from)?;
        state.names.remove(from);
        state.names.insert(to.to_owned(), id);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.step()?;
        let id = state.find(path)?;
        state.names.remove(path);
        state.plan.names = state.plan.names.map(|names| names + 1);
        let freed = state.nodes.get(&id).map_or(0, |node| node.allocated);
        if let Some(free) = &mut state.plan.free {
            *free += freed;
        }
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.step()?;
        let inside = |name: &PathBuf| name.parent() == Some(path);
        let now: Vec<(PathBuf, u64)> =
            state.names.iter().filter(|(n, _)| inside(n)).map(|(n, id)| (n.clone(), *id)).collect();
        state.durable_names.retain(|name, _| !inside(name));
        state.durable_names.extend(now);
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.lock().plan.free.unwrap_or(1 << 40))
    }

    fn real_root(&self) -> Option<PathBuf> {
        None
    }
}

impl FakeFile {
    fn change<T>(&self, f: impl FnOnce(&mut State, u64) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.lock();
        state.step()?;
        f(&mut state, self.node)
    }
}

impl DiskFile for FakeFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(|state, id| {
            state.allocate(id, offset + bytes.len() as u64)?;
            let at = offset as usize;
            state.last_write = Some((id, at, bytes.len()));
            if let Some(node) = state.nodes.get_mut(&id) {
                write_into(&mut node.bytes, at, bytes);
                node.unsynced.push((at, bytes.to_vec()));
            }
            Ok(())
        })
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.disk.lock();
        let at = offset as usize;
        let node = state.nodes.get(&self.node);
        let bytes = node.and_then(|node| node.bytes.get(at..at + out.len()));
        match bytes {
            Some(bytes) => {
                out.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn len(&self) -> io::Result<u64> {
        let state = self.disk.lock();
        Ok(state.nodes.get(&self.node).map_or(0, |node| node.bytes.len() as u64))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change(|state, id| {
            if let Some(node) = state.nodes.get_mut(&id) {
                node.bytes.resize(length as usize, 0);
                node.unsynced.push((length as usize, Vec::new()));
            }
            Ok(())
        })
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        self.change(|state, id| {
            state.allocate(id, length)?;
            if let Some(node) = state.nodes.get_mut(&id) {
                let longer = node.bytes.len().max(length as usize);
                node.bytes.resize(longer, 0);
            }
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.change(|state, id| {
            state.syncs += 1;
            if state.plan.fail_sync == Some(state.syncs) {
                return Err(io::Error::from_raw_os_error(5));
            }
            if let Some(node) = state.nodes.get_mut(&id) {
                // Only what changed is copied: segments are large and synced often.
                node.durable.resize(node.bytes.len(), 0);
                for (at, bytes) in std::mem::take(&mut node.unsynced) {
                    write_into(&mut node.durable, at, &bytes);
                }
                node.durable.resize(node.bytes.len(), 0);
            }
            if state.last_write.is_some_and(|(node, ..)| node == id) {
                state.last_write = None;
            }
            Ok(())
        })
    }
}

fn write_into(target: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    if target.len() < at + bytes.len() {
        target.resize(at + bytes.len(), 0);
    }
    if let Some(place) = target.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}
