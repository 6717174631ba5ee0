//! Space for the data, and how long a sync takes: every confirmed message waits for one.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crs_admin_api::command::doctor::Check;
use crs_types::{Clock, SystemClock, shell};

use super::{fail, seen, warn};

const GIB: u64 = 1 << 30;
/// C-038: the smallest size of the sizing table.
const SPACE_WANTED: u64 = 20 * GIB;
const SPACE_NEEDED: u64 = GIB;
const SYNCS: usize = 21;
/// A disk that takes longer holds back every message.
const SYNC_WANTED: Duration = Duration::from_millis(10);
const SYNC_NEEDED: Duration = Duration::from_millis(100);

pub(super) fn space(check: Check, data: &Path) -> Check {
    let place = existing(data);
    let shown = place.display();
    match nix::sys::statvfs::statvfs(&place) {
        Err(error) => fail(
            check,
            format!("{shown}: {error}"),
            "the directory of the data cannot be looked at",
            "df -h",
        ),
        Ok(found) => {
            let free = found.blocks_available().saturating_mul(found.fragment_size());
            let text = format!("{:.1} GiB free at {shown}", free as f64 / GIB as f64);
            let cause = "a full disk refuses messages; 500 users want 20 GB";
            if free >= SPACE_WANTED {
                seen(check, text)
            } else if free >= SPACE_NEEDED {
                warn(check, text, cause, "df -h")
            } else {
                fail(check, text, cause, "df -h")
            }
        }
    }
}

pub(super) fn sync_speed(check: Check, data: &Path) -> Check {
    let place = existing(data);
    let file = place.join(format!(".crs-doctor-{}", std::process::id()));
    let measured = median_sync(&file);
    // It may never have been created.
    let _ = fs::remove_file(&file);
    match measured {
        Err(error) => warn(
            check,
            format!("{} cannot be written by this user: {error}", place.display()),
            "the speed of the disk could not be measured",
            &format!("sudo {}", again(data)),
        ),
        Ok(took) => {
            let text =
                format!("a sync takes {:.2} ms at {}", took.as_secs_f64() * 1e3, place.display());
            let cause = "every confirmed message waits for a sync; use a solid-state disk";
            let fix = &again(data);
            if took <= SYNC_WANTED {
                seen(check, text)
            } else if took <= SYNC_NEEDED {
                warn(check, text, cause, fix)
            } else {
                fail(check, text, cause, fix)
            }
        }
    }
}

/// The command that measures once more; another folder may be named in it.
fn again(data: &Path) -> String {
    let data = shell::word(&data.display().to_string()).into_owned();
    format!("crs-cli doctor --pre --only disk-sync --data {data}")
}

/// Median of a few appends of 4 KiB, each synced, as the node's log does.
fn median_sync(path: &Path) -> std::io::Result<Duration> {
    let clock = SystemClock::new();
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let start = clock.mono();
        file.write_all(&[0x55; 4096])?;
        file.sync_data()?;
        times.push(clock.mono().since(start));
    }
    times.sort_unstable();
    Ok(times[SYNCS / 2])
}

/// The directory itself, or the nearest one above that exists.
fn existing(path: &Path) -> PathBuf {
    let found = path.ancestors().find(|place| place.is_dir() && !place.as_os_str().is_empty());
    found.map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}
