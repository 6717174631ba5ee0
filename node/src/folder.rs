//! The data folder: made at the first start, recognised later, refused when it is somebody
//! else's or damaged (U4).

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crs_types::disk::create_dir_durably;
use nix::fcntl::{Flock, FlockArg};

/// Name of the file that marks a data folder.
const MARK: &str = "crs-data";
/// Its first line; the number is the version of the folder's layout.
const MARK_TEXT: &str = "crs data folder, layout 1\n";
const MARK_PREFIX: &str = "crs data folder, layout ";

/// A data folder that this process holds alone.
#[derive(Debug)]
pub struct DataFolder {
    /// Its path.
    pub path: PathBuf,
    /// What this start created, for the operator to read.
    pub created: Vec<PathBuf>,
    _lock: Flock<fs::File>,
}

/// A folder is not ours to use.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It holds other things.
    #[error(
        "{path} is not a data folder of this program: it holds {example} but no {MARK} file; \
         name an empty or a new folder", path = path.display()
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// One of the things it holds.
        example: String,
    },
    /// Its mark is unreadable.
    #[error(
        "{path} is a damaged data folder: {what}; restore it from a backup, or name an empty folder",
        path = path.display()
    )]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A newer program made it.
    #[error("{path} was made by a newer version (layout {layout}, this one knows 1)", path = path.display())]
    Newer {
        /// The folder.
        path: PathBuf,
        /// Its layout.
        layout: String,
    },
    /// Another process uses it.
    #[error("{path} is in use by another node; stop that one first", path = path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot use the folder {path}: {source}", path = path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DataFolder {
    /// Opens or makes the folder and takes its lock.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let failed = |source| FolderError::Io { path: path.to_owned(), source };
        let mut created = Vec::new();
        if !path.exists() {
            create_dir_durably(path).map_err(failed)?;
            created.push(path.to_owned());
        }
        let mark = path.join(MARK);
        if is_empty(path).map_err(failed)? {
            write_mark(path, &mark).map_err(failed)?;
            created.push(mark.clone());
        }
        check_mark(path, &mark)?;
        let file = fs::File::open(&mark).map_err(failed)?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|_| FolderError::Busy { path: path.to_owned() })?;
        Ok(Self { path: path.to_owned(), created, _lock: lock })
    }

    /// Makes a folder inside or beside when it is missing and remembers that it did.
    pub fn ensure_dir(&mut self, path: &Path) -> Result<(), FolderError> {
        if !path.is_dir() {
            create_dir_durably(path)
                .map_err(|source| FolderError::Io { path: path.to_owned(), source })?;
            self.created.push(path.to_owned());
        }
        Ok(())
    }
}

fn is_empty(path: &Path) -> io::Result<bool> {
    Ok(names(path)?.is_empty())
}

fn write_mark(folder: &Path, mark: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o640).open(mark)?;
    file.write_all(MARK_TEXT.as_bytes())?;
    file.sync_all()?;
    // Without its name the synced file is lost with the power, and the folder would be foreign.
    fs::File::open(folder)?.sync_all()
}

fn check_mark(path: &Path, mark: &Path) -> Result<(), FolderError> {
    let text = match fs::read(mark) {
        Ok(bytes) => String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let example = example_of(path).unwrap_or_else(|| "other files".to_owned());
            return Err(FolderError::Foreign { path: path.to_owned(), example });
        }
        Err(source) => return Err(FolderError::Io { path: mark.to_owned(), source }),
    };
    if text == MARK_TEXT {
        return Ok(());
    }
    match text.strip_prefix(MARK_PREFIX).and_then(|rest| rest.strip_suffix('\n')) {
        Some(layout) if layout.bytes().all(|b| b.is_ascii_digit()) && !layout.is_empty() => {
            Err(FolderError::Newer { path: path.to_owned(), layout: layout.to_owned() })
        }
        Some(_) | None => Err(FolderError::Damaged {
            path: path.to_owned(),
            what: format!("its file {MARK} does not say what it should"),
        }),
    }
}

/// Sorted, so that messages do not depend on the file system; without what mkfs puts there.
fn names(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| name != "lost+found");
    names.sort();
    Ok(names)
}

fn example_of(path: &Path) -> Option<String> {
    names(path).ok()?.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_is_made_and_recognised_later() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/data");
        let first = DataFolder::open(&path).unwrap();
        assert_eq!(first.created, [path.clone(), path.join(MARK)]);
        assert!(matches!(DataFolder::open(&path), Err(FolderError::Busy { .. })));
        drop(first);
        assert_eq!(DataFolder::open(&path).unwrap().created, [] as [PathBuf; 0]);
    }

    #[test]
    fn foreign_damaged_and_newer_folders_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.odt"), "x").unwrap();
        let foreign = DataFolder::open(dir.path()).unwrap_err().to_string();
        assert!(foreign.contains("it holds thesis.odt"), "{foreign}");

        fs::write(dir.path().join(MARK), "crs data fol").unwrap();
        let damaged = DataFolder::open(dir.path()).unwrap_err();
        assert!(matches!(damaged, FolderError::Damaged { .. }), "{damaged}");

        fs::write(dir.path().join(MARK), "crs data folder, layout 7\n").unwrap();
        let newer = DataFolder::open(dir.path()).unwrap_err().to_string();
        assert!(newer.contains("layout 7"), "{newer}");
    }
}
