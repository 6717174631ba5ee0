//! One log file that rotates by size: `crs.log` → `crs.log.1` → … → dropped.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Log files are readable by the service's group, not by the world.
const MODE: u32 = 0o640;

pub(super) struct RotatingFile {
    path: PathBuf,
    file: File,
    length: u64,
    max_bytes: u64,
    keep: u32,
}

impl RotatingFile {
    pub(super) fn open(path: PathBuf, max_bytes: u64, keep: u32) -> io::Result<Self> {
        let file = open(&path)?;
        let length = file.metadata()?.len();
        Ok(Self { path, file, length, max_bytes, keep })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line, rotating before it when the file would grow too large.
    pub(super) fn write(&mut self, line: &str) -> io::Result<()> {
        if self.length > 0 && self.length + line.len() as u64 > self.max_bytes {
            self.rotate()?;
        }
        self.file.write_all(line.as_bytes())?;
        self.length += line.len() as u64;
        Ok(())
    }

    /// Opens the path anew: somebody else may have moved the file away.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        self.length = self.file.metadata()?.len();
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.keep).rev() {
            rename_if_there(&self.numbered(number), &self.numbered(number + 1))?;
        }
        if self.keep == 0 {
            fs::remove_file(&self.path)?;
        } else {
            rename_if_there(&self.path, &self.numbered(1))?;
        }
        self.reopen()
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(MODE).open(path)
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotation_keeps_a_bounded_number_of_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("crs.log");
        let mut file = RotatingFile::open(path.clone(), 10, 2).unwrap();
        for n in 0..5 {
            file.write(&format!("line {n}\n")).unwrap();
        }
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("crs.log"), "line 4\n");
        assert_eq!(read("crs.log.1"), "line 3\n");
        assert_eq!(read("crs.log.2"), "line 2\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn reopen_follows_an_external_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("crs.log");
        let mut file = RotatingFile::open(path.clone(), 1000, 2).unwrap();
        file.write("before\n").unwrap();
        fs::rename(&path, dir.path().join("moved")).unwrap();
        file.reopen().unwrap();
        file.write("after\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "after\n");
    }
}
