//! The commands that `crs-cli doctor` proposes, as they are for this process on this machine.

use std::path::Path;

use crs_actors::admin::OperatorCommands;
use crs_actors::listener::FD_RESERVE;
use crs_types::shell;
use nix::unistd::{Group, Uid, User, getegid, geteuid};

use crate::config::Config;
use crate::load::Loader;

/// What an operator may paste.
pub fn commands(config: &Config, loader: &Loader) -> OperatorCommands {
    let service = std::env::var_os("NOTIFY_SOCKET").is_some();
    let files = (config.settings.limits.connections + FD_RESERVE).max(65_536);
    let (reload, restart, open_files) = if service {
        (
            "systemctl reload crs".to_owned(),
            "systemctl restart crs".to_owned(),
            format!("systemctl edit crs   # [Service] LimitNOFILE={files}"),
        )
    } else {
        let pid = std::process::id();
        (
            format!("kill -HUP {pid}"),
            format!("kill {pid}   # then start it again"),
            format!("ulimit -n {files}   # as root, in the shell that starts the node"),
        )
    };
    OperatorCommands {
        check: loader.check_command(),
        reload,
        restart,
        log: end_of(&config.paths.log.join("crs.log")),
        relay_log: end_of(&config.paths.log.join("crs_relay.log")),
        open_files,
        make_folder: make_folder(geteuid()),
    }
}

fn end_of(log: &Path) -> String {
    format!("tail -n 50 {}", shell::word(&log.display().to_string()))
}

/// Names when the system knows them, otherwise numbers: `install` takes both.
fn make_folder(uid: Uid) -> String {
    let gid = getegid();
    let user = User::from_uid(uid).ok().flatten().map_or(uid.to_string(), |user| user.name);
    let group = Group::from_gid(gid).ok().flatten().map_or(gid.to_string(), |group| group.name);
    format!("install -d -o {user} -g {group} -m 750")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_by_the_printed_command() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("new folder");
        let word = shell::word(folder.to_str().unwrap()).into_owned();
        let command = format!("{} {word}", make_folder(geteuid()));
        let status = std::process::Command::new("sh").args(["-c", &command]).status().unwrap();
        assert!(status.success() && folder.is_dir(), "{command}");
    }
}
