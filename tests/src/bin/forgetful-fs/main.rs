//! A FUSE file system that forgets what was never synced, for power-loss tests of the real
//! programs (scripts/crash-disk).
//!
//! `forgetful-fs MOUNTPOINT [CAPACITY_MIB]` serves until it is unmounted. Making the directory
//! `.power-cut` in its root cuts the power: everything unsynced is gone at once.

mod model;
mod shell;

use std::process::ExitCode;

use fuser::{Config, MountOption};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(mountpoint) = arguments.next() else {
        eprintln!("usage: forgetful-fs MOUNTPOINT [CAPACITY_MIB]");
        return ExitCode::from(2);
    };
    let capacity_mib = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(1024u64);
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("forgetful".to_owned())];
    let disk = shell::Shell::new(model::Forgetful::new(capacity_mib * 1024 * 1024));
    match fuser::mount(disk, &mountpoint, &config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("forgetful-fs: cannot serve {mountpoint}: {error}");
            ExitCode::FAILURE
        }
    }
}
