//! The accounts directory (C-060): what an operator finds there, and may edit by hand.
//!
//! `accounts/<id>/` holds the unprotected update files `<YYYY-MM>` and the file `blacklist`. The
//! store is the truth; these files are copies, written whole and renamed into place.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crs_types::{AccountId, Period, Uri};

const DIRECTORY_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o640;
/// A blacklist longer than this was not written by a person or by us.
const BLACKLIST_BYTES_MAX: u64 = 16 << 20;
/// Problems named of one file; more help nobody.
const PROBLEMS_MAX: usize = 20;

/// What a blacklist file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct BlacklistFile {
    /// The numbers in it.
    pub(super) users: BTreeSet<Uri>,
    /// Lines that are none.
    pub(super) problems: Vec<String>,
}

/// The directory of an account. Ids hold no separator, so the path stays below `root`.
pub(super) fn directory(root: &Path, account: &AccountId) -> PathBuf {
    root.join(account.as_str())
}

/// Makes the account's directory, and those above it.
pub(super) fn create(root: &Path, account: &AccountId) -> io::Result<PathBuf> {
    let path = directory(root, account);
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(&path)?;
    Ok(path)
}

/// Removes the account's directory with everything in it; gone already is fine.
pub(super) fn remove(root: &Path, account: &AccountId) -> io::Result<()> {
    match fs::remove_dir_all(directory(root, account)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Writes the unprotected update file of a month (C-150).
pub(super) fn write_update(
    root: &Path,
    account: &AccountId,
    period: Period,
    bytes: &[u8],
) -> io::Result<()> {
    replace(&create(root, account)?.join(period.to_string()), bytes)
}

/// True when the account's directory has the update file of a month.
pub(super) fn has_update(root: &Path, account: &AccountId, period: Period) -> bool {
    directory(root, account).join(period.to_string()).is_file()
}

/// Mirrors the blacklist.
pub(super) fn write_blacklist<'a>(
    root: &Path,
    account: &AccountId,
    users: impl Iterator<Item = &'a Uri>,
) -> io::Result<()> {
    let text = blacklist_text(account, users);
    replace(&create(root, account)?.join("blacklist"), text.as_bytes())
}

fn blacklist_text<'a>(account: &AccountId, users: impl Iterator<Item = &'a Uri>) -> String {
    let mut text = format!(
        "# Blocked users of account {account}, one number a line.\n\
         # After a change by hand: crs-cli reload account\n"
    );
    users.for_each(|uri| {
        text.push_str(&uri.to_string());
        text.push('\n');
    });
    text
}

/// Reads the blacklist; `None` when there is no file.
pub(super) fn read_blacklist(
    root: &Path,
    account: &AccountId,
) -> io::Result<Option<BlacklistFile>> {
    let path = directory(root, account).join("blacklist");
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(meta) if meta.len() > BLACKLIST_BYTES_MAX || !meta.is_file() => {
            let why = format!("expected a file of at most {BLACKLIST_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(_) => {}
    }
    let bytes = fs::read(&path)?;
    Ok(Some(parse_blacklist(&String::from_utf8_lossy(&bytes))))
}

fn parse_blacklist(text: &str) -> BlacklistFile {
    let mut file = BlacklistFile::default();
    for (index, line) in text.lines().enumerate() {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() {
            continue;
        }
        match Uri::parse(entry) {
            Ok(uri) => {
                file.users.insert(uri);
            }
            Err(error) if file.problems.len() < PROBLEMS_MAX => {
                file.problems.push(format!("line {}: {error}", index + 1));
            }
            Err(_) => {}
        }
    }
    file
}

/// Door of the fuzz target `blacklist_file`: any file is understood or its lines are named, and
/// what was understood is written so that it reads back.
#[cfg(fuzzing)]
pub fn fuzz_blacklist(bytes: &[u8]) {
    let found = parse_blacklist(&String::from_utf8_lossy(bytes));
    assert!(found.problems.len() <= PROBLEMS_MAX);
    let account = AccountId::parse("police").expect("a valid id");
    let again = parse_blacklist(&blacklist_text(&account, found.users.iter()));
    assert_eq!((again.users, again.problems), (found.users, Vec::new()));
}

/// Written beside, synced, renamed: a reader sees the old file or the new one.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirrored_blacklist_reads_back_and_hand_edits_are_understood() {
        let root = tempfile::tempdir().unwrap();
        let account = AccountId::parse("police").unwrap();
        assert_eq!(read_blacklist(root.path(), &account).unwrap(), None);
        let users = [Uri::parse("+46701").unwrap(), Uri::parse("+46702").unwrap()];
        write_blacklist(root.path(), &account, users.iter()).unwrap();
        let read = read_blacklist(root.path(), &account).unwrap().unwrap();
        assert_eq!(read.users.into_iter().collect::<Vec<_>>(), users);
        let file = parse_blacklist("0046701 # reason\n\n +46702\nnonsense\n");
        assert_eq!(file.users.len(), 2);
        assert_eq!(file.problems.len(), 1);
        assert!(file.problems[0].starts_with("line 4: expected a number"));
        let huge = directory(root.path(), &account).join("blacklist");
        fs::File::create(&huge).unwrap().set_len(BLACKLIST_BYTES_MAX + 1).unwrap();
        let refused = read_blacklist(root.path(), &account).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
        let many = "x\n".repeat(PROBLEMS_MAX + 1);
        assert_eq!(parse_blacklist(&many).problems.len(), PROBLEMS_MAX);
        remove(root.path(), &account).unwrap();
        remove(root.path(), &account).unwrap();
        assert_eq!(read_blacklist(root.path(), &account).unwrap(), None);
    }
}
