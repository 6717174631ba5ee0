//! Names and the kernel's network settings.

use std::net::ToSocketAddrs;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crs_admin_api::command::doctor::Check;

use super::{read, seen, warn};

/// A resolver that takes longer is as good as none.
const DNS_PATIENCE: Duration = Duration::from_secs(3);
const BUFFER_WANTED: u64 = 4 << 20;
const BACKLOG_WANTED: u64 = 4096;

/// Does the name that clients will use resolve (C-020)? Without one: does this machine's own?
pub(super) fn dns(check: Check, name: Option<&str>) -> Check {
    let own = read("/proc/sys/kernel/hostname").trim().to_owned();
    let asked = name.map_or(own, str::to_owned);
    let fix = format!("getent ahosts {asked}");
    let cause = if name.is_some() {
        "clients find the pool by this name: it must list the address of every node"
    } else {
        "the resolver does not know this machine; name the pool's with --name"
    };
    let name = asked.clone();
    match within(DNS_PATIENCE, move || resolve(&name)) {
        Some(addresses) if !addresses.is_empty() => {
            seen(check, format!("{asked} is {}", addresses.join(", ")))
        }
        Some(_) => warn(check, format!("{asked} does not resolve"), cause, &fix),
        None => warn(check, format!("no answer about {asked} in {DNS_PATIENCE:?}"), cause, &fix),
    }
}

/// The resolver of the C library cannot be interrupted, so it gets a thread of its own, which
/// ends with the process at the latest.
fn within<T: Send + 'static>(
    patience: Duration,
    ask: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::spawn(move || {
        // Nobody waits any more after the time-out.
        let _ = sender.send(ask());
    });
    receiver.recv_timeout(patience).ok()
}

fn resolve(name: &str) -> Vec<String> {
    let found = (name, 0).to_socket_addrs();
    let mut addresses: Vec<String> =
        found.map(|all| all.map(|a| a.ip().to_string()).collect()).unwrap_or_default();
    addresses.sort();
    addresses.dedup();
    addresses
}

/// The relay asks for large buffers, so that a burst of media is not lost.
pub(super) fn socket_buffers(check: Check) -> Check {
    let (name, wanted) = ("net.core.rmem_max", BUFFER_WANTED);
    let cause = "bursts of media are lost before the relay can read them";
    setting(check, name, "/proc/sys/net/core/rmem_max", wanted, cause)
}

/// All clients come back at once after a restart.
pub(super) fn backlog(check: Check) -> Check {
    let (name, wanted) = ("net.core.somaxconn", BACKLOG_WANTED);
    let cause = "when all clients come back at once, connections are dropped";
    setting(check, name, "/proc/sys/net/core/somaxconn", wanted, cause)
}

fn setting(check: Check, name: &str, path: &str, wanted: u64, cause: &str) -> Check {
    let fix = format!("sysctl -w {name}={wanted}");
    match read(path).trim().parse::<u64>() {
        Ok(value) if value >= wanted => seen(check, format!("{name} is {value}")),
        Ok(value) => warn(check, format!("{name} is {value}, {wanted} wanted"), cause, &fix),
        Err(_) => warn(check, format!("{name} cannot be read"), cause, &fix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_that_hangs_is_not_waited_for() {
        let (answer, hangs) = mpsc::sync_channel::<Vec<String>>(0);
        let asked = within(Duration::from_millis(50), move || hangs.recv().unwrap_or_default());
        assert_eq!(asked, None);
        drop(answer);
        let found = within(DNS_PATIENCE, || resolve("127.0.0.1"));
        assert_eq!(found, Some(vec!["127.0.0.1".to_owned()]));
    }
}
