//! A node with one account and one honest client, watched from outside.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::Value;

const ALICE: &str = "+46700000001";
const PIN: &str = "314159265358";
/// Nothing that is waited for takes longer.
const LIMIT: Duration = Duration::from_secs(30);
/// How often it is looked at meanwhile.
const LOOKS: u32 = 600;

/// The node, the tools' view of it, and its client's profile.
pub(super) struct Node {
    folder: tempfile::TempDir,
    child: Child,
    ready: Value,
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
        let log = fs::File::create(folder.path().join("node.err")).expect("a file");
        let mut child = Command::new("bash")
            .args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")])
            .arg(crs_tests::program("crs-node"))
            .args(["--dev", "--ready-json", "--data"])
            .arg(folder.path().join("node"))
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the node starts");
        let printed = BufReader::new(child.stdout.take().expect("piped"));
        let ready = printed
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| serde_json::from_str::<Value>(&line).ok())
            .find(|line| line["ready"] == true)
            .expect("the node is ready");
        let node = Self { folder, child, ready };
        node.enrol();
        node
    }

    /// Where clients connect to.
    pub(super) fn server(&self) -> SocketAddr {
        self.text("client").parse().expect("an address")
    }

    /// A TCP connection to the client port.
    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.server()).expect("the port is open");
        stream.set_read_timeout(Some(LIMIT)).expect("a time-out");
        stream
    }

    /// The honest client attaches, asks for its keys and leaves.
    pub(super) fn attach(&self) {
        self.client(&["update"]);
    }

    /// The operator asks something.
    pub(super) fn operate(&self, arguments: &[&str]) -> String {
        let mut all = vec!["--socket", self.text("admin_socket"), "--output", "json"];
        all.extend(arguments);
        self.run("crs-cli", &all)
    }

    pub(super) fn figures(&self) -> Figures {
        let proc = PathBuf::from(format!("/proc/{}", self.child.id()));
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

    fn enrol(&self) {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let made = self.operate(&["create", "account", "acme"]);
        fs::write(path("secret"), text_of(&made, "shared_secret")).expect("a file");
        let (domain, secret) = (path("domain"), path("secret"));
        let about = ["--server", self.text("client"), "--server-ca", self.text("pool_ca")];
        let mut init = vec!["init", "--account", "acme", "--secret-file", &secret];
        init.extend(about);
        init.push(&domain);
        self.run("crs-cms", &init);
        let cms = |arguments: &[&str]| {
            let mut all = vec!["--dir", &domain, "--output", "json"];
            all.extend(arguments);
            self.run("crs-cms", &all)
        };
        cms(&["user", "add", ALICE]);
        cms(&["update", "create", "-o", &path("month.upd")]);
        let fingerprint = text_of(&cms(&["fingerprint"]), "fingerprint");
        self.operate(&["apply", &path("month.upd"), "--confirm-fingerprint", &fingerprint]);
        cms(&["enrol", ALICE, "--pin", PIN, "-o", &path("alice.crsenrol")]);
        self.client(&["enrol", &path("alice.crsenrol"), "--device", "alice-1"]);
        self.attach();
    }

    fn client(&self, arguments: &[&str]) {
        let profile = self.folder.path().join("alice").display().to_string();
        let mut all = vec!["--profile", &profile, "--output", "json"];
        all.extend(arguments);
        self.run("crs-client", &all);
    }

    /// Runs a program to its end, which must come soon and be good.
    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new("timeout")
            .arg(LIMIT.as_secs().to_string())
            .arg(crs_tests::program(program))
            .args(arguments)
            .env("CRS_PIN", PIN)
            .stdin(Stdio::null())
            .output()
            .expect("the program starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn text(&self, name: &str) -> &str {
        self.ready[name].as_str().expect("the ready line names it")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has noticed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The attacker, too, needs a file for every connection.
fn allow_many_files() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the soft limit may be raised");
}

/// The text of a field, wherever it is in a program's JSON.
fn text_of(json: &str, name: &str) -> String {
    let at = json.find(&format!("\"{name}\"")).expect("the field is there");
    let value = json[at..].split(':').nth(1).expect("a value");
    value.split('"').nth(1).expect("a text").to_owned()
}
