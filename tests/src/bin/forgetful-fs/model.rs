//! The file system itself, in memory: every file and directory has a live state and a synced one,
//! and a power cut replaces the first by the second.
//!
//! Stricter than most disks: a new name is durable only once its *directory* was synced.

use std::collections::BTreeMap;
use std::ops::Range;

/// The root directory.
pub(crate) const ROOT: u64 = 1;

/// Why an operation failed; the shell turns it into an errno.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No such file or directory.
    NotFound,
    /// The name exists.
    Exists,
    /// A directory where a file was expected, or the reverse.
    Kind,
    /// The directory still holds names.
    NotEmpty,
    /// The disk is full.
    Full,
}

/// A file or a directory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    /// Permission bits.
    pub(crate) mode: u32,
    /// What it holds.
    pub(crate) body: Body,
}

/// Content of a node, live and as last synced.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// A regular file.
    File {
        /// What readers see.
        live: Vec<u8>,
        /// What a power cut leaves.
        synced: Vec<u8>,
        /// Parts of `live` that differ from `synced`.
        dirty: Vec<Range<usize>>,
    },
    /// A directory: names to node numbers.
    Directory {
        /// What readers see.
        live: BTreeMap<String, u64>,
        /// What a power cut leaves.
        synced: BTreeMap<String, u64>,
    },
}

impl Default for Body {
    fn default() -> Self {
        Self::File { live: Vec::new(), synced: Vec::new(), dirty: Vec::new() }
    }
}

/// The whole file system.
#[derive(Debug)]
pub(crate) struct Forgetful {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    capacity: u64,
    /// Bytes that power cuts have thrown away so far.
    pub(crate) forgotten: u64,
}

impl Forgetful {
    /// An empty file system that holds at most `capacity` bytes.
    pub(crate) fn new(capacity: u64) -> Self {
        let root = Node {
            mode: 0o755,
            body: Body::Directory { live: BTreeMap::new(), synced: BTreeMap::new() },
        };
        Self { nodes: BTreeMap::from([(ROOT, root)]), next: ROOT + 1, capacity, forgotten: 0 }
    }

    /// Everything that was not synced is gone.
    pub(crate) fn power_cut(&mut self) {
        for node in self.nodes.values_mut() {
            match &mut node.body {
                Body::File { live, synced, dirty } => {
                    self.forgotten += dirty.iter().map(|r| r.len() as u64).sum::<u64>();
                    live.clone_from(synced);
                    dirty.clear();
                }
                Body::Directory { live, synced } => live.clone_from(synced),
            }
        }
        self.drop_unreachable();
    }

    fn drop_unreachable(&mut self) {
        let mut reached = vec![ROOT];
        let mut waiting = vec![ROOT];
        while let Some(number) = waiting.pop() {
            if let Some(Node { body: Body::Directory { live, .. }, .. }) = self.nodes.get(&number) {
                for child in live.values() {
                    reached.push(*child);
                    waiting.push(*child);
                }
            }
        }
        self.nodes.retain(|number, _| reached.contains(number));
    }

    /// A node by number.
    pub(crate) fn node(&self, number: u64) -> Result<&Node, Failure> {
        self.nodes.get(&number).ok_or(Failure::NotFound)
    }

    /// Number of the node behind a name.
    pub(crate) fn lookup(&self, parent: u64, name: &str) -> Result<u64, Failure> {
        self.entries(parent)?.get(name).copied().ok_or(Failure::NotFound)
    }

    /// Names in a directory.
    pub(crate) fn entries(&self, number: u64) -> Result<&BTreeMap<String, u64>, Failure> {
        match &self.node(number)?.body {
            Body::Directory { live, .. } => Ok(live),
            Body::File { .. } => Err(Failure::Kind),
        }
    }

    fn entries_mut(&mut self, number: u64) -> Result<&mut BTreeMap<String, u64>, Failure> {
        match &mut self.nodes.get_mut(&number).ok_or(Failure::NotFound)?.body {
            Body::Directory { live, .. } => Ok(live),
            Body::File { .. } => Err(Failure::Kind),
        }
    }

    /// Makes a file or directory.
    pub(crate) fn create(&mut self, parent: u64, name: &str, node: Node) -> Result<u64, Failure> {
        let number = self.next;
        let entries = self.entries_mut(parent)?;
        if entries.contains_key(name) {
            return Err(Failure::Exists);
        }
        entries.insert(name.to_owned(), number);
        self.nodes.insert(number, node);
        self.next += 1;
        Ok(number)
    }

    /// Removes a name. The node stays for open handles and for a synced directory that names it.
    pub(crate) fn remove(&mut self, parent: u64, name: &str) -> Result<(), Failure> {
        let number = self.lookup(parent, name)?;
        if let Body::Directory { live, .. } = &self.node(number)?.body
            && !live.is_empty()
        {
            return Err(Failure::NotEmpty);
        }
        self.entries_mut(parent)?.remove(name);
        Ok(())
    }

    /// Renames, replacing the target.
    pub(crate) fn rename(&mut self, from: (u64, &str), to: (u64, &str)) -> Result<(), Failure> {
        let number = self.lookup(from.0, from.1)?;
        self.entries_mut(to.0)?.insert(to.1.to_owned(), number);
        if from != to {
            self.entries_mut(from.0)?.remove(from.1);
        }
        Ok(())
    }

    /// Bytes at an offset, fewer at the end of the file.
    pub(crate) fn read(&self, number: u64, offset: u64, size: usize) -> Result<&[u8], Failure> {
        let Body::File { live, .. } = &self.node(number)?.body else { return Err(Failure::Kind) };
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(live.len());
        let end = start.saturating_add(size).min(live.len());
        Ok(&live[start..end])
    }

    /// Writes bytes at an offset.
    pub(crate) fn write(&mut self, number: u64, offset: u64, bytes: &[u8]) -> Result<(), Failure> {
        let start = usize::try_from(offset).map_err(|_| Failure::Full)?;
        let end = start.checked_add(bytes.len()).ok_or(Failure::Full)?;
        self.grow_to(number, end)?;
        let (live, dirty) = self.file_mut(number)?;
        live[start..end].copy_from_slice(bytes);
        dirty.push(start..end);
        Ok(())
    }

    /// Makes room up to a length without shortening (fallocate).
    pub(crate) fn grow_to(&mut self, number: u64, length: usize) -> Result<(), Failure> {
        let free = self.free();
        let (live, dirty) = self.file_mut(number)?;
        let old = live.len();
        if length > old {
            if (length - old) as u64 > free {
                return Err(Failure::Full);
            }
            live.resize(length, 0);
            dirty.push(old..length);
        }
        Ok(())
    }

    /// Cuts or extends a file.
    pub(crate) fn set_length(&mut self, number: u64, length: usize) -> Result<(), Failure> {
        self.grow_to(number, length)?;
        let (live, dirty) = self.file_mut(number)?;
        live.truncate(length);
        for range in dirty.iter_mut() {
            *range = range.start.min(length)..range.end.min(length);
        }
        Ok(())
    }

    fn file_mut(&mut self, number: u64) -> Result<(&mut Vec<u8>, &mut Vec<Range<usize>>), Failure> {
        match &mut self.nodes.get_mut(&number).ok_or(Failure::NotFound)?.body {
            Body::File { live, dirty, .. } => Ok((live, dirty)),
            Body::Directory { .. } => Err(Failure::Kind),
        }
    }

    /// Makes a node's present state survive a power cut.
    pub(crate) fn sync(&mut self, number: u64) -> Result<(), Failure> {
        match &mut self.nodes.get_mut(&number).ok_or(Failure::NotFound)?.body {
            Body::File { live, synced, dirty } => {
                synced.resize(live.len(), 0);
                for range in dirty.drain(..) {
                    synced[range.clone()].copy_from_slice(&live[range]);
                }
            }
            Body::Directory { live, synced } => synced.clone_from(live),
        }
        Ok(())
    }

    /// Changes permission bits.
    pub(crate) fn set_mode(&mut self, number: u64, mode: u32) -> Result<(), Failure> {
        self.nodes.get_mut(&number).ok_or(Failure::NotFound)?.mode = mode;
        Ok(())
    }

    /// Capacity in bytes.
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Bytes that may still be written.
    pub(crate) fn free(&self) -> u64 {
        let used: u64 = self
            .nodes
            .values()
            .map(|node| match &node.body {
                Body::File { live, .. } => live.len() as u64,
                Body::Directory { .. } => 0,
            })
            .sum();
        self.capacity.saturating_sub(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file() -> (Forgetful, u64) {
        let mut disk = Forgetful::new(1 << 20);
        let file = disk.create(ROOT, "log", Node::default()).unwrap();
        (disk, file)
    }

    #[test]
    fn a_power_cut_forgets_what_was_not_synced() {
        let (mut disk, file) = with_file();
        disk.sync(ROOT).unwrap();
        disk.write(file, 0, b"kept").unwrap();
        disk.sync(file).unwrap();
        disk.write(file, 4, b" lost").unwrap();
        disk.power_cut();
        assert_eq!(disk.read(file, 0, 100).unwrap(), b"kept");
        assert_eq!(disk.forgotten, 10, "five grown and five written bytes were dirty");
    }

    #[test]
    fn a_name_needs_its_directory_synced() {
        let (mut disk, file) = with_file();
        disk.write(file, 0, b"data").unwrap();
        disk.sync(file).unwrap();
        disk.power_cut();
        assert_eq!(disk.lookup(ROOT, "log"), Err(Failure::NotFound));
    }

    #[test]
    fn an_unsynced_rename_comes_back_under_the_old_name() {
        let (mut disk, file) = with_file();
        disk.sync(ROOT).unwrap();
        disk.rename((ROOT, "log"), (ROOT, "new")).unwrap();
        assert_eq!(disk.lookup(ROOT, "new"), Ok(file));
        disk.power_cut();
        assert_eq!(disk.lookup(ROOT, "log"), Ok(file));
        assert_eq!(disk.lookup(ROOT, "new"), Err(Failure::NotFound));
    }

    #[test]
    fn a_full_disk_refuses() {
        let mut disk = Forgetful::new(10);
        let file = disk.create(ROOT, "log", Node::default()).unwrap();
        assert_eq!(disk.write(file, 0, &[1; 10]), Ok(()));
        assert_eq!(disk.write(file, 10, &[1]), Err(Failure::Full));
        assert_eq!(disk.write(file, 0, &[2; 10]), Ok(()), "overwriting needs no room");
    }
}
