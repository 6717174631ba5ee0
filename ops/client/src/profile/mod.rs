//! The profile directory: identity, keys, journals; for its owner only, one process at a time.
//!
//! `identity.json` (0600) holds user, servers, trust and keys; `inbox.journal` and
//! `outbox.journal` the messages; `contacts.journal` the account of each contact; `lock` keeps a
//! second process out.

pub mod contacts;
pub mod enrol;
mod locked_disk;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crs_types::disk::{Disk, OsDisk};
use crs_types::envelope::Version;
use serde::{Deserialize, Serialize};

use crate::core::{contacts as contact_core, inbox, outbox};
use crate::error::ClientError;
use crate::identity::{Identity, PeriodKeys};
use crate::journal::{Journal, Opened};
use crate::memory_disk::MemoryDisk;
use locked_disk::LockedDisk;

/// Version of `identity.json`.
const VERSION: u32 = 1;
const INBOX_VERSION: Version = Version(1);
const OUTBOX_VERSION: Version = Version(1);
const CONTACTS_VERSION: Version = Version(1);
const IDENTITY: &str = "identity.json";

/// An open profile.
pub struct Profile {
    identity: Identity,
    place: Place,
    disk: Arc<dyn Disk>,
}

enum Place {
    Directory(PathBuf),
    Memory,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    identity: Identity,
}

impl Profile {
    /// Opens an enrolled profile and locks it.
    pub fn open(path: &Path) -> Result<Self, ClientError> {
        let lock = lock(path)?;
        let identity = read_identity(path)?;
        Ok(Self::in_directory(path, identity, lock))
    }

    /// Makes a profile directory (0700) for a new identity; refuses one that holds another.
    /// Enrolling the same user again keeps its old keys: messages may still be sealed to them.
    pub fn create(path: &Path, mut identity: Identity) -> Result<Self, ClientError> {
        let refuse = |e: std::io::Error| profile_error(path, e.to_string());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(refuse)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(refuse)?;
        let lock = lock(path)?;
        if path.join(IDENTITY).exists() {
            let old = read_identity(path)?;
            if (&old.account, &old.uri) != (&identity.account, &identity.uri) {
                let why = format!("holds {}@{} already: choose another", old.uri, old.account);
                return Err(profile_error(path, why));
            }
            let known = |keys: &PeriodKeys| {
                identity
                    .keys
                    .iter()
                    .any(|k| (k.period, k.generation) == (keys.period, keys.generation))
            };
            let kept: Vec<_> = old.keys.into_iter().filter(|keys| !known(keys)).collect();
            identity.keys.extend(kept);
            identity.device = old.device;
        }
        let profile = Self::in_directory(path, identity, lock);
        save(path, &profile.identity)?;
        Ok(profile)
    }

    fn in_directory(path: &Path, identity: Identity, lock: File) -> Self {
        let disk = Arc::new(LockedDisk { disk: OsDisk::new(path), _lock: lock });
        Self { identity, place: Place::Directory(path.to_owned()), disk }
    }

    /// A profile whose journals are on this disk, for tests.
    #[cfg(test)]
    pub(crate) fn on_disk(identity: Identity, disk: Arc<dyn Disk>) -> Self {
        Self { identity, place: Place::Memory, disk }
    }

    /// A profile that is forgotten when it is dropped.
    pub fn in_memory(identity: Identity) -> Self {
        Self { identity, place: Place::Memory, disk: Arc::new(MemoryDisk::default()) }
    }

    /// The identity.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Replaces the identity once it is synced.
    pub(crate) async fn store_identity(&mut self, identity: Identity) -> Result<(), ClientError> {
        if let Place::Directory(path) = &self.place {
            let (path, copy, lock) = (path.clone(), identity.clone(), self.disk.clone());
            let save = tokio::task::spawn_blocking(move || {
                let saved = save(&path, &copy);
                drop(lock);
                saved
            });
            save.await.map_err(|_| ClientError::Closed)??;
        }
        self.identity = identity;
        Ok(())
    }

    /// Opens the inbox journal. Blocks on the disk.
    pub fn inbox(&self) -> Result<Opened<inbox::Record>, ClientError> {
        Ok(Journal::open(self.disk.clone(), "inbox.journal", INBOX_VERSION)?)
    }

    /// Opens the outbox journal. Blocks on the disk.
    pub fn outbox(&self) -> Result<Opened<outbox::Record>, ClientError> {
        Ok(Journal::open(self.disk.clone(), "outbox.journal", OUTBOX_VERSION)?)
    }

    /// Opens the contacts journal. Blocks on the disk.
    pub fn contacts(&self) -> Result<Opened<contact_core::Record>, ClientError> {
        Ok(Journal::open(self.disk.clone(), "contacts.journal", CONTACTS_VERSION)?)
    }
}

fn save(path: &Path, identity: &Identity) -> Result<(), ClientError> {
    let refuse = |e: std::io::Error| profile_error(path, e.to_string());
    let stored = Stored { version: VERSION, identity: identity.clone() };
    let text =
        serde_json::to_vec_pretty(&stored).map_err(|e| profile_error(path, e.to_string()))?;
    let temp = path.join("identity.tmp");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temp)
        .map_err(refuse)?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(refuse)?;
    fs::rename(&temp, path.join(IDENTITY)).map_err(refuse)?;
    File::open(path).and_then(|dir| dir.sync_all()).map_err(refuse)
}

/// The identity of a profile, without opening it (works beside a running client).
pub fn read_identity(path: &Path) -> Result<Identity, ClientError> {
    let file = path.join(IDENTITY);
    let text = fs::read(&file).map_err(|e| not_there(path, &e))?;
    let stored: Stored =
        serde_json::from_slice(&text).map_err(|e| profile_error(&file, e.to_string()))?;
    if stored.version != VERSION {
        let why = format!("version {}, this program reads version {VERSION}", stored.version);
        return Err(profile_error(&file, why));
    }
    Ok(stored.identity)
}

fn lock(path: &Path) -> Result<File, ClientError> {
    let open = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path.join("lock"));
    let file = open.map_err(|e| not_there(path, &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(profile_error(path, "in use by another crs-client: stop that one first".to_owned()))
        }
        Err(TryLockError::Error(e)) => Err(profile_error(path, e.to_string())),
    }
}

fn not_there(path: &Path, error: &std::io::Error) -> ClientError {
    if error.kind() == std::io::ErrorKind::NotFound {
        let why = "not enrolled; first `crs-client enrol FILE` with the file of the CMS administrator, or name \
                   another folder with --profile"
            .to_owned();
        return profile_error(path, why);
    }
    profile_error(path, error.to_string())
}

fn profile_error(path: &Path, why: String) -> ClientError {
    ClientError::Profile { path: path.to_owned(), why }
}
