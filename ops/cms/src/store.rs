//! The domain directory: two JSON files of mode 0600, written atomically and synced, and a lock.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::DomainError;

/// What the domain is: nothing in it is a key.
pub(crate) const DOMAIN_FILE: &str = "domain.json";
/// The domain's keys. Never printed.
pub(crate) const KEYS_FILE: &str = "keys.json";
const LOCK_FILE: &str = "lock";

/// Holds the directory against a second `crs-cms`.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    _lock: File,
}

impl Store {
    /// Makes the directory for a new domain; refuses one that already holds a domain.
    pub(crate) fn create(dir: &Path) -> Result<Self, DomainError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|error| io_error(dir, error))?;
        let store = Self::lock(dir)?;
        for name in [DOMAIN_FILE, KEYS_FILE] {
            if dir.join(name).exists() {
                return Err(DomainError::Exists(dir.to_owned()));
            }
        }
        Ok(store)
    }

    /// Opens the directory of a domain.
    pub(crate) fn open(dir: &Path) -> Result<Self, DomainError> {
        if !dir.join(DOMAIN_FILE).exists() {
            return Err(DomainError::NoDomain(dir.to_owned()));
        }
        Self::lock(dir)
    }

    fn lock(dir: &Path) -> Result<Self, DomainError> {
        let path = dir.join(LOCK_FILE);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| io_error(&path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_owned(), _lock: file }),
            Err(TryLockError::WouldBlock) => Err(DomainError::Busy(dir.to_owned())),
            Err(TryLockError::Error(error)) => Err(io_error(&path, error)),
        }
    }

    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<T, DomainError> {
        let path = self.dir.join(name);
        let bytes = Zeroizing::new(fs::read(&path).map_err(|error| io_error(&path, error))?);
        // The error names line and column, not content: key files must not leak by it.
        serde_json::from_slice(&bytes).map_err(|error| DomainError::Damaged {
            path,
            line: error.line(),
            column: error.column(),
        })
    }

    pub(crate) fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), DomainError> {
        let path = self.dir.join(name);
        let bytes = serde_json::to_vec_pretty(value)
            .map_err(|error| io_error(&path, io::Error::other(error)))?;
        write_private(&path, &Zeroizing::new(bytes))
    }
}

/// Writes a file of mode 0600 so that after a crash either the old or the new content is there.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), DomainError> {
    let fail = |error| io_error(path, error);
    let name = path.file_name().ok_or_else(|| fail(io::ErrorKind::InvalidFilename.into()))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(".new");
    let temporary = path.with_file_name(temporary);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    file.sync_all().map_err(fail)?;
    fs::rename(&temporary, path).map_err(fail)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new("."))).and_then(|dir| dir.sync_all()).map_err(fail)
}

pub(crate) fn io_error(path: &Path, error: io::Error) -> DomainError {
    DomainError::Io { path: path.to_owned(), error }
}
