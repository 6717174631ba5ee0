//! The disk gets full (CS-09): the sender is told by name before any confirmation, fetching and
//! acknowledging go on, the node starts again on the full disk, and posting resumes by itself.
//!
//! Full is what `disk-min-free` says, so that the test needs no file system of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::statvfs::statvfs;

use super::bed::Bed;
use crate::bed::checked;

const MIB: u64 = 1 << 20;
/// Enough for the node's own files (reserve and log segments).
const MARGIN: u64 = 256 * MIB;
const FILLER: u64 = 512 * MIB;

fn free(path: &Path) -> u64 {
    let stat = statvfs(path).unwrap();
    stat.blocks_available() as u64 * stat.fragment_size() as u64
}

/// A folder on a file system that few others write to meanwhile.
fn folder() -> tempfile::TempDir {
    let quiet = Path::new("/dev/shm");
    let quiet = Some(quiet).filter(|path| path.is_dir() && free(path) > 4 * FILLER);
    quiet.map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap()
}

fn fill(folder: &Path) -> PathBuf {
    let path = folder.join("filler");
    let file = File::create(&path).unwrap();
    nix::fcntl::posix_fallocate(&file, 0, FILLER as i64).unwrap();
    path
}

fn wait_until_full(bed: &Bed) {
    for _ in 0..300 {
        if bed.ready().contains("disk-full") {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the ready endpoint does not tell of the full disk: {}", bed.ready());
}

/// Fails, and says why, while the disk is full.
fn is_refused(mut send: Command) {
    let output = send.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = said + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && said.contains("disk-full"), "{}: {said}", output.status);
}

#[test]
fn a_full_disk_refuses_posts_by_name_and_nothing_else() {
    let folder = folder();
    let least = free(folder.path()) - MARGIN;
    let mut bed = Bed::start(folder.path(), &[format!("disk-min-free {least}")]);
    for text in ["one", "two"] {
        checked(&mut bed.send(text, "30s"));
    }
    let filler = fill(folder.path());
    wait_until_full(&bed);
    is_refused(bed.send("three", "2s"));
    assert_eq!(bed.received(1, "30s"), ["one"], "fetching and acknowledging go on");
    bed.cli(&["show", "system"]);

    bed.kill_and_restart();
    wait_until_full(&bed);
    assert_eq!(bed.received(1, "30s"), ["two"], "what was acknowledged stays so");
    // Waits for its confirmation before the space is there.
    let waiting = bed.send("four", "60s").spawn().unwrap();
    is_refused(bed.reply("back", "2s"));
    std::fs::remove_file(filler).unwrap();
    let resumed = waiting.wait_with_output().unwrap();
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
    assert_eq!(bed.received(2, "30s"), ["three", "four"]);
}
