//! One host: a network namespace with a thread in it that runs futures, and programs.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::mpsc;

use nix::sched::{CloneFlags, setns};
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;

/// A host. Everything spawned on it opens its sockets there.
pub(super) struct Host {
    pub(super) name: String,
    pub(super) address: Ipv4Addr,
    runtime: Handle,
}

impl Host {
    /// Starts a thread in the namespace `name`; it ends with the process.
    pub(super) fn enter(name: &str, address: &str) -> Self {
        let (ready, wait) = mpsc::sync_channel(1);
        let path = format!("/run/netns/{name}");
        std::thread::spawn(move || {
            let namespace = File::open(&path).expect("the namespace is there");
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("this thread may enter it");
            // One thread, so that every socket is opened by this one.
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            let _ = ready.send(runtime.handle().clone());
            runtime.block_on(std::future::pending::<()>());
        });
        let runtime = wait.recv().expect("the host's thread runs");
        Self { name: name.to_owned(), address: address.parse().expect("an address"), runtime }
    }

    /// Runs a future on the host.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.runtime.spawn(future)
    }

    /// A program of the host.
    pub(super) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// A port of the host.
    pub(super) fn at(&self, port: u16) -> SocketAddr {
        (self.address, port).into()
    }

    pub(super) fn nft(&self, rule: &str) {
        self.checked(self.command("nft").arg(rule));
    }

    pub(super) fn shell(&self, line: &str) {
        self.checked(self.command("sh").args(["-c", line]));
    }

    fn checked(&self, command: &mut Command) {
        let done = command.output().expect("ip netns exec runs");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "on {}: {command:?}: {said}", self.name);
    }
}
