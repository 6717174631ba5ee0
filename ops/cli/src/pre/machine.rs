//! Processors, memory, limits, kernel, the service's user.

use crs_admin_api::command::doctor::Check;

use super::{fail, read, seen, warn};

/// Open files that 5 000 clients with their calls need, with room to spare.
const FILES_WANTED: u64 = 20_000;
/// Below this not even a small pool runs.
const FILES_NEEDED: u64 = 1024;
/// D-20: the manuals' smallest server.
const MEMORY_WANTED_KB: u64 = 4_000_000;

pub(super) fn open_files(check: Check) -> Check {
    let limits = read("/proc/self/limits");
    let hard = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .and_then(|line| line.split_whitespace().nth(4))
        .map(|word| word.parse().unwrap_or(u64::MAX));
    let fix = "systemctl edit crs   # [Service] LimitNOFILE=65536";
    let cause = "every client is an open file; a node with few of them refuses clients";
    match hard {
        Some(limit) if limit >= FILES_WANTED => seen(check, format!("up to {limit} open files")),
        Some(limit) if limit >= FILES_NEEDED => {
            warn(check, format!("up to {limit} open files, {FILES_WANTED} wanted"), cause, fix)
        }
        Some(limit) => fail(check, format!("only {limit} open files"), cause, fix),
        None => {
            warn(check, "the limit of open files is unknown", "/proc is not mounted", "mount /proc")
        }
    }
}

pub(super) fn memory(check: Check) -> Check {
    let meminfo = read("/proc/meminfo");
    let total = meminfo
        .lines()
        .find(|line| line.starts_with("MemTotal:"))
        .and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    let cause = "a server of the smallest size has 4 GB; users need about 24 KiB each";
    match total {
        Some(kb) if kb >= MEMORY_WANTED_KB => seen(check, format!("{} MiB", kb / 1024)),
        Some(kb) => warn(check, format!("{} MiB, 4 GB wanted", kb / 1024), cause, "free -m"),
        None => {
            warn(check, "the size of the memory is unknown", "/proc is not mounted", "mount /proc")
        }
    }
}

pub(super) fn processors(check: Check) -> Check {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    if count >= 2 {
        return seen(check, format!("{count} processors"));
    }
    let cause = "media and signalling share the one processor, so calls stutter under load";
    warn(check, "one processor, two wanted", cause, "nproc")
}

/// The relay's batches want recvmmsg, GSO and GRO; all are there from 5.0 on.
pub(super) fn kernel(check: Check) -> Check {
    let release = read("/proc/sys/kernel/osrelease").trim().to_owned();
    let major = release.split('.').next().and_then(|word| word.parse::<u32>().ok());
    match major {
        Some(major) if major >= 5 => seen(check, format!("Linux {release}")),
        Some(_) => warn(
            check,
            format!("Linux {release}, 5.0 or newer wanted"),
            "media is forwarded packet by packet, which takes more processor time",
            "uname -r",
        ),
        None => warn(
            check,
            "the kernel is unknown",
            "this is not Linux, or /proc is not mounted",
            "uname -a",
        ),
    }
}

pub(super) fn aes(check: Check) -> Check {
    let info = read("/proc/cpuinfo");
    let fast = info
        .lines()
        .filter(|line| line.starts_with("flags") || line.starts_with("Features"))
        .any(|line| line.split_whitespace().any(|word| word == "aes"));
    if fast {
        return seen(check, "the processor encrypts by itself (AES instructions)");
    }
    let cause = "every connection costs several times the processor time";
    warn(check, "no AES instructions", cause, "grep -m1 -o -w aes /proc/cpuinfo")
}

pub(super) fn user(check: Check) -> Check {
    let found = read("/etc/passwd").lines().any(|line| line.starts_with("crsuser:"));
    if found {
        return seen(check, "user crsuser exists");
    }
    warn(
        check,
        "user crsuser does not exist yet",
        "the service runs as this user; packages create it",
        "useradd --system --home /opt/crs --shell /usr/sbin/nologin crsuser",
    )
}
