//! Is the clock right? Months, certificates and traces depend on it.

use std::path::Path;
use std::process::{Command, Stdio};

use crs_admin_api::command::doctor::Check;
use crs_types::{Clock, SystemClock, Timestamp};

use super::{fail, seen, warn};

/// This program was not built before then.
const BUILT_AFTER: Timestamp = Timestamp::from_secs(1_767_225_600);

pub(super) fn synchronised(check: Check) -> Check {
    let now = SystemClock::new().now();
    if now < BUILT_AFTER {
        let cause = "update files and certificates of other months are refused";
        return fail(check, format!("it is {now} here"), cause, "timedatectl set-ntp true");
    }
    match synchronised_by_the_system() {
        Some(true) => seen(check, format!("synchronised; it is {now}")),
        Some(false) => warn(
            check,
            format!("not synchronised; it is {now}"),
            "a clock that drifts ends in refused certificates",
            "timedatectl set-ntp true",
        ),
        None => warn(
            check,
            format!("nobody says whether the clock is synchronised; it is {now}"),
            "neither systemd nor chrony answers",
            "timedatectl status",
        ),
    }
}

/// What systemd-timesyncd leaves behind, or what timedatectl says.
fn synchronised_by_the_system() -> Option<bool> {
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        return Some(true);
    }
    // Without systemd as the first process the command only waits for a bus that never comes.
    if !Path::new("/run/systemd/system").exists() {
        return None;
    }
    let asked = Command::new("timedatectl")
        .args(["show", "-p", "NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    match String::from_utf8_lossy(&asked.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}
