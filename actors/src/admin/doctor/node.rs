//! Listener, relay, certificate, notification script.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use crs_admin_api::command::doctor::Check;
use crs_types::shell;
use tokio::net::TcpStream;

use super::{fail, ok, warn};
use crate::admin::{AdminContext, ShownCertificate};

const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
const DAY: u64 = 86_400;
const GROUP: &str = "node";
/// Permission bits of everybody who is neither the owner nor of the group.
const OTHERS: u32 = 0o007;

/// Connects to the client port as a client would.
pub(super) async fn listener(context: &AdminContext) -> Check {
    let mut reached = Vec::new();
    for addr in &context.facts.listen {
        if !accepts(*addr).await {
            let check = ok(GROUP, "listener", format!("{addr} does not accept"));
            let cause = "clients cannot connect to the port";
            return fail(check, cause, &context.facts.commands.log);
        }
        reached.push(addr.to_string());
    }
    ok(GROUP, "listener", format!("accepts at {}", reached.join(", ")))
}

async fn accepts(addr: SocketAddr) -> bool {
    let connected = tokio::time::timeout(CONNECT_PATIENCE, TcpStream::connect(addr)).await;
    matches!(connected, Ok(Ok(_)))
}

pub(super) fn relay(context: &AdminContext) -> Check {
    match &context.relay {
        Some(relay) if relay.running() => ok(GROUP, "relay", "forwards media"),
        Some(_) => {
            let cause = "a relay thread has ended; it is started again";
            fail(ok(GROUP, "relay", "does not forward"), cause, &context.facts.commands.relay_log)
        }
        None => {
            let cause = "calls have no media on this node";
            warn(ok(GROUP, "relay", "switched off"), cause, &context.facts.commands.check)
        }
    }
}

/// A node renews its own certificate in time; the operator renews a configured one.
pub(super) fn certificate(context: &AdminContext) -> Check {
    let Some(ShownCertificate { end, own }) = context.facts.watched.found().certificate else {
        return ok(GROUP, "certificate", "not looked at yet");
    };
    let left = end.since(context.now()).as_secs() / DAY;
    let whose = if own { "" } else { ", configured" };
    let check = ok(GROUP, "certificate", format!("valid until {end}, {left} days{whose}"));
    let commands = &context.facts.commands;
    let (cause, fix) = if own {
        let cause = "clients refuse the node when its certificate has ended; a restart issues a \
                     new one";
        (cause, &commands.restart)
    } else {
        let cause = "clients refuse the node when its certificate has ended; put the renewed one \
                     and its key in place of the files that `certificate` names";
        (cause, &commands.reload)
    };
    match left {
        0..=1 => fail(check, cause, fix),
        2..=30 => warn(check, cause, fix),
        _ => check,
    }
}

/// The files of the configuration against what runs.
pub(super) fn configuration(context: &AdminContext) -> Check {
    let name = "configuration";
    let found = context.facts.watched.found();
    let Some(drift) = found.drift else {
        return without_effect(context, &found.without_effect);
    };
    let cause = "the node goes on with the configuration that it has; the next start takes the \
                 files, or fails";
    let commands = &context.facts.commands;
    let fix = format!("{} && {}", commands.check, commands.reload);
    warn(ok(GROUP, name, drift), cause, &fix)
}

/// What the files ask for and this version does not do.
fn without_effect(context: &AdminContext, directives: &[String]) -> Check {
    let name = "configuration";
    if directives.is_empty() {
        return ok(GROUP, name, "the files are what runs");
    }
    let cause = "these lines are parsed and kept, but have no effect yet: this node knows of no \
                 other and sends no pushes";
    warn(ok(GROUP, name, directives.join("; ")), cause, &context.facts.commands.check)
}

/// The files with keys that the configuration names, and its own.
pub(super) fn permissions(context: &AdminContext) -> Check {
    let name = "permissions";
    let files = context.facts.watched.found().secret_files;
    let mode = |path: &PathBuf| std::fs::metadata(path).map(|meta| meta.permissions().mode());
    let open: Vec<String> = files
        .iter()
        .filter(|path| mode(path).is_ok_and(|mode| mode & OTHERS != 0))
        .map(|path| path.display().to_string())
        .collect();
    if open.is_empty() {
        return ok(GROUP, name, "files with secrets are for the node's user and group only");
    }
    let check = ok(GROUP, name, format!("open to other users: {}", open.join(", ")));
    let cause = "these files hold keys; who reads them can pose as the pool";
    let words: Vec<_> = open.iter().map(|path| shell::word(path)).collect();
    warn(check, cause, &format!("chmod o= {}", words.join(" ")))
}

pub(super) fn notify_script(context: &AdminContext) -> Check {
    let name = "notify-script";
    let Some(path) = &context.facts.notify_script else {
        return ok(GROUP, name, "none configured");
    };
    let shown = path.display();
    let path_word = shell::word(&shown.to_string()).into_owned();
    let fix = format!("chmod 750 {path_word}");
    match std::fs::metadata(path) {
        Ok(meta) if meta.permissions().mode() & 0o111 != 0 => ok(GROUP, name, shown.to_string()),
        Ok(_) => {
            let check = ok(GROUP, name, format!("{shown} is not executable"));
            warn(check, "system events reach nobody", &fix)
        }
        Err(error) => {
            let check = ok(GROUP, name, format!("{shown}: {error}"));
            let line = r#"printf '#!/bin/sh\nlogger -t crs "$1 $2"\n'"#;
            let mut fix = format!("{line} > {path_word} && {fix}");
            if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
                let folder = folder.display().to_string();
                let make = &context.facts.commands.make_folder;
                fix = format!("{make} {} && {fix}", shell::word(&folder));
            }
            warn(check, "system events reach nobody", &fix)
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpSocket;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_port_that_neither_takes_nor_refuses_is_waited_for_two_seconds() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = socket.local_addr().unwrap();
        let listener = socket.listen(1).unwrap();
        // When its queue is full, the kernel leaves further connections without an answer.
        let patience = Duration::from_millis(100);
        let connect = |_| std::net::TcpStream::connect_timeout(&addr, patience).ok();
        let waiting: Vec<_> = (0..16).map_while(connect).collect();
        assert!(waiting.len() < 16, "the queue is full");
        let began = Instant::now();
        assert!(!accepts(addr).await);
        assert_eq!(began.elapsed().as_secs(), CONNECT_PATIENCE.as_secs());
        drop(listener);
        assert!(!accepts(addr).await);
        assert_eq!(began.elapsed().as_secs(), CONNECT_PATIENCE.as_secs(), "refused at once");
    }
}
