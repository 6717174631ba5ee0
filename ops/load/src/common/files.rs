//! A fresh folder that is removed at the end.

use std::path::{Path, PathBuf};

use anyhow::Context;
use crs_types::{OsRng, Rng};

/// The folder; removed when dropped unless it is to be kept.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    /// Makes a new one below the system's temporary folder.
    pub fn new(keep: bool) -> anyhow::Result<Self> {
        let mut bytes = [0u8; 8];
        OsRng.fill(&mut bytes);
        let name = format!("crs-load-{:016x}", u64::from_be_bytes(bytes));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self { path, keep })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.keep {
            eprintln!("kept {}", self.path.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
