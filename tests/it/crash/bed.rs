//! A node with an account and two enrolled clients, all through the programs, in one folder.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crs_tests::program;
use serde_json::Value;

pub(super) const ALICE: &str = "+46700000001";
pub(super) const BOB: &str = "+46700000002";
const PIN: &str = "314159265358";

/// A running node; killed when dropped.
pub(super) struct Bed {
    folder: PathBuf,
    settings: Vec<String>,
    node: Child,
    ready: Value,
}

impl Bed {
    /// Starts a node in `folder` with these directives, and enrols Alice and Bob.
    pub(super) fn start(folder: &Path, settings: &[String]) -> Self {
        let (node, ready) = start_node(folder, settings);
        let bed = Self { folder: folder.to_owned(), settings: settings.to_owned(), node, ready };
        bed.make_account();
        for (name, number) in [("alice", ALICE), ("bob", BOB)] {
            let bundle = bed.path(&format!("{name}.crsenrol"));
            bed.cms(&["enrol", number, "--pin", PIN, "-o", &bundle]);
            bed.checked(bed.client(name).args(["enrol", &bundle, "--device", "one", "--pin", PIN]));
            bed.checked(bed.client(name).arg("update"));
        }
        bed
    }

    fn make_account(&self) {
        let created = self.cli(&["create", "account", "demo"]);
        let secret = find(&created, "shared_secret").expect("a secret");
        let (secret_file, update) = (self.path("secret.txt"), self.path("month.upd"));
        std::fs::write(&secret_file, secret).unwrap();
        let mut init = Command::new(program("crs-cms"));
        init.args(["init", "--account", "demo", "--secret-file", &secret_file]);
        init.args(["--server", self.text("client"), "--server-ca", self.text("pool_ca")]);
        self.checked(init.arg(self.path("domain")));
        self.cms(&["user", "add", ALICE, BOB]);
        self.cms(&["update", "create", "-o", &update]);
        let print = find(&self.cms(&["fingerprint"]), "fingerprint").expect("a fingerprint");
        self.cli(&["apply", &update, "--confirm-fingerprint", &print]);
    }

    /// kill -9, and a new start on what is there.
    pub(super) fn kill_and_restart(&mut self) {
        self.node.kill().unwrap();
        self.node.wait().unwrap();
        (self.node, self.ready) = start_node(&self.folder, &self.settings);
    }

    /// `crs-client` with a user's profile.
    pub(super) fn client(&self, name: &str) -> Command {
        let mut command = Command::new(program("crs-client"));
        command.args(["--output", "json", "--profile", &self.path(name)]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Alice writes to Bob and waits so long for the confirmation.
    pub(super) fn send(&self, text: &str, within: &str) -> Command {
        let mut command = self.client("alice");
        command.args(["send", BOB, text, "--within", within]);
        command
    }

    /// Bob writes to Alice.
    pub(super) fn reply(&self, text: &str, within: &str) -> Command {
        let mut command = self.client("bob");
        command.args(["send", ALICE, text, "--within", within]);
        command
    }

    /// Texts that Bob receives and acknowledges: until there are `count`, for at most so long.
    pub(super) fn received(&self, count: usize, within: &str) -> Vec<String> {
        let mut command = self.client("bob");
        command.args(["receive", "--count", &count.to_string(), "--for", within]);
        let lines = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter_map(|line| find(&line, "text")).collect()
    }

    /// Runs crs-cli, which must succeed.
    pub(super) fn cli(&self, arguments: &[&str]) -> Value {
        let mut command = Command::new(program("crs-cli"));
        command.args(["--output", "json", "--socket", self.text("admin_socket")]).args(arguments);
        json(&self.checked(&mut command))
    }

    /// What the ready endpoint answers.
    pub(super) fn ready(&self) -> String {
        let mut stream = TcpStream::connect(self.text("metrics")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET /ready HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn cms(&self, arguments: &[&str]) -> Value {
        let mut command = Command::new(program("crs-cms"));
        command.args(["--dir", &self.path("domain"), "--output", "json"]).args(arguments);
        json(&self.checked(&mut command))
    }

    /// Output of a program that must succeed.
    pub(super) fn checked(&self, command: &mut Command) -> Output {
        let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
        output
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn text(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap_or_else(|| panic!("no {name}: {}", self.ready))
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

fn start_node(folder: &Path, settings: &[String]) -> (Child, Value) {
    let errors = std::fs::File::create(folder.join("node.err")).unwrap();
    let mut command = Command::new(program("crs-node"));
    command.args(["--dev", "--ready-json", "--data"]).arg(folder.join("node"));
    for directive in settings {
        command.args(["--set", directive]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
    let mut node = command.spawn().expect("crs-node is built");
    let mut line = String::new();
    BufReader::new(node.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready = serde_json::from_str(&line).unwrap_or_else(|_| {
        panic!("{}", std::fs::read_to_string(folder.join("node.err")).unwrap_or_default())
    });
    (node, ready)
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// The text of a field, wherever it is.
fn find(value: &Value, name: &str) -> Option<String> {
    match value {
        Value::Object(fields) => match fields.get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) | None => fields.values().find_map(|inner| find(inner, name)),
        },
        Value::Array(items) => items.iter().find_map(|inner| find(inner, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
