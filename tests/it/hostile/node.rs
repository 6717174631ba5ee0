//! A node with one account and one honest client, watched from outside.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::Value;

use crate::bed::{Account, Serving, checked};

const ALICE: &str = "+46700000001";
/// Nothing that is waited for takes longer.
const LIMIT: Duration = Duration::from_secs(30);
/// How often it is looked at meanwhile.
const LOOKS: u32 = 600;

/// The node, and its account with a client.
pub(super) struct Node {
    node: Serving,
    account: Account,
    folder: tempfile::TempDir,
}

/// What must not grow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    pub(super) resident_kib: u64,
    pub(super) files: usize,
    pub(super) log_bytes: u64,
    /// Of all its threads, in hundredths of a second.
    pub(super) cpu_ticks: u64,
}

impl Node {
    /// A node that may open `files` files, with a client that has its keys.
    pub(super) fn start(files: u32) -> Self {
        allow_many_files();
        let folder = tempfile::tempdir().expect("a fresh folder");
        let mut command = Command::new("bash");
        command.args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")]);
        command.arg(crs_tests::program("crs-node")).args(["--dev", "--ready-json", "--data"]);
        let node = Serving::start(command.arg(folder.path().join("node")));
        let account = Account::make(folder.path(), &node.reach(), &[ALICE]);
        account.enrol("alice", ALICE);
        Self { node, account, folder }
    }

    /// Where clients connect to.
    pub(super) fn server(&self) -> SocketAddr {
        self.node.text("client").parse().expect("an address")
    }

    /// A TCP connection to the client port.
    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.server()).expect("the port is open");
        stream.set_read_timeout(Some(LIMIT)).expect("a time-out");
        stream
    }

    /// The honest client attaches, asks for its keys and leaves.
    pub(super) fn attach(&self) {
        checked(self.account.client("alice").arg("update"));
    }

    /// The operator asks something.
    pub(super) fn operate(&self, arguments: &[&str]) -> Value {
        self.account.cli(arguments)
    }

    /// The value of a series of `/metrics`.
    pub(super) fn metric(&self, series: &str) -> usize {
        let mut stream = TcpStream::connect(self.node.text("metrics")).expect("the port is open");
        let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("the node reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the node answers");
        let line = answer.lines().find_map(|line| line.strip_prefix(series));
        line.expect("the series is there").trim().parse().expect("a number")
    }

    pub(super) fn figures(&self) -> Figures {
        let proc = PathBuf::from(format!("/proc/{}", self.node.id()));
        let read = |name: &str| fs::read_to_string(proc.join(name)).expect("the node lives");
        let rollup = read("smaps_rollup");
        let resident = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
        let resident = resident.and_then(|rest| rest.split_whitespace().next());
        let stat = read("stat");
        let fields: Vec<&str> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<u64>().expect("a number");
        let logs = fs::read_dir(self.folder.path().join("node/log")).expect("the log's folder");
        Figures {
            resident_kib: resident.expect("Rss").parse().expect("a number"),
            files: fs::read_dir(proc.join("fd")).expect("the node lives").count(),
            log_bytes: logs.flatten().filter_map(|e| e.metadata().ok()).map(|m| m.len()).sum(),
            cpu_ticks: ticks(11) + ticks(12),
        }
    }

    /// Waits until as many files are open as `before`, then compares the rest.
    pub(super) fn is_as_before(&self, before: Figures) {
        // A few of the store's own files come and go.
        let closed = (0..LOOKS).any(|_| {
            let all = self.figures().files <= before.files + 4;
            if !all {
                std::thread::sleep(LIMIT / LOOKS);
            }
            all
        });
        let after = self.figures();
        assert!(closed, "files stay open: {before:?} {after:?}");
        assert!(after.resident_kib < before.resident_kib + 96 * 1024, "{before:?} {after:?}");
        assert!(after.log_bytes < before.log_bytes + 64 * 1024, "{before:?} {after:?}");
        self.attach();
    }
}

/// The attacker, too, needs a file for every connection.
fn allow_many_files() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the soft limit may be raised");
}
