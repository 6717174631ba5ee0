//! AD-09, AD-11: secrets that have gone through a node at its most talkative are in no log, trace,
//! metric, answer or argument of it, and in its data folder only sealed.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crs_tests::program;
use crs_types::Secret;

use crate::bed::{Account, PIN, Serving, checked};

const ALICE: &str = "+46700000001";
const BOB: &str = "+46700000002";
const TEXT: &str = "canary-text-5d3e1a";
/// Base64 of an account secret of the operator's own, and its bytes.
const GIVEN: (&str, &[u8]) = ("Y2FuYXJ5LXNlY3JldC0wNDJm", b"canary-secret-042f");
/// What an operator may ask without changing anything.
const QUESTIONS: &[&[&str]] = &[
    &["show", "account"],
    &["show", "attach", "--verbose"],
    &["show", "session", "--verbose"],
    &["show", "message"],
    &["show", "system"],
    &["show", "version", "--verbose"],
    &["show", "relay"],
    &["show", "relays"],
    &["show", "updates"],
    &["show", "services"],
    &["show", "node"],
    &["list", "account"],
    &["lookup", "client", "demo", ALICE, "--verbose"],
    &["doctor", "--verbose"],
    &["health-check", "account", "demo"],
];

/// A text in a place.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    what: String,
    place: String,
}

/// What has been written or said, by place.
#[derive(Default)]
struct Said(Vec<(String, Vec<u8>)>);

impl Said {
    fn add(&mut self, place: &str, bytes: Vec<u8>) {
        self.0.push((place.to_owned(), bytes));
    }

    /// Every file below a folder.
    fn add_folder(&mut self, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                self.add_folder(&path);
            } else if path.is_file() {
                self.add(&path.display().to_string(), std::fs::read(&path).unwrap());
            }
        }
    }

    fn find(&self, secrets: &[(&str, Vec<u8>)]) -> Vec<Found> {
        let mut found = Vec::new();
        for (place, bytes) in &self.0 {
            for (what, secret) in secrets {
                if bytes.windows(secret.len()).any(|window| window == secret.as_slice()) {
                    found.push(Found { what: (*what).to_owned(), place: place.clone() });
                }
            }
        }
        found
    }
}

/// Traces of everything, into files, until they are killed.
fn traces(folder: &Path, node: &Serving) -> Vec<(Child, PathBuf)> {
    let elements: [&[&str]; 6] = [
        &["attach"],
        &["session"],
        &["message"],
        &["connection"],
        &["event"],
        &["client", "demo", ALICE],
    ];
    let start = |element: &&[&str]| {
        let path = folder.join(format!("trace-{}", element[0]));
        let mut command = Command::new(program("crs-cli"));
        command.args(["--verbose", "--socket", node.text("admin_socket"), "trace"]).args(*element);
        let child = command.stdin(Stdio::null()).stdout(File::create(&path).unwrap()).spawn();
        (child.expect("crs-cli is built"), path)
    };
    elements.iter().map(start).collect()
}

/// Alice writes to Bob until the traces have seen messages come and go.
fn messages(account: &Account, traced: &Path) {
    for _ in 0..100 {
        checked(account.client("alice").args(["send", BOB, TEXT, "--within", "30s"]));
        checked(account.client("bob").args(["receive", "--count", "1", "--for", "30s"]));
        if std::fs::metadata(traced).unwrap().len() > 0 {
            return;
        }
    }
    panic!("no trace of messages");
}

fn metrics(node: &Serving) -> Vec<u8> {
    let mut stream = TcpStream::connect(node.text("metrics")).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

/// What the operator is answered, refusals included.
fn answers(node: &Serving, said: &mut Said) {
    for question in QUESTIONS {
        for format in ["json", "table"] {
            let mut command = Command::new(program("crs-cli"));
            command.args(["--output", format, "--socket", node.text("admin_socket")]);
            let output = command.args(*question).output().unwrap();
            said.add(&question.join(" "), [output.stdout, output.stderr].concat());
        }
    }
}

/// The account's own secret, as the operator was shown it once, and the key of the pool: in base64
/// and in bytes.
fn generated(folder: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let secret = std::fs::read_to_string(folder.join("secret.txt")).unwrap();
    let pool = std::fs::read_to_string(folder.join("node/crs.conf")).unwrap();
    let key = pool.lines().find_map(|line| line.strip_prefix("key ")).expect("a key of the pool");
    let key = key.split_whitespace().next().unwrap_or_default();
    let both = |what, text: &str| {
        let bytes = Secret::from_base64(text.trim()).expect("base64").expose().to_vec();
        [(what, text.trim().as_bytes().to_vec()), (what, bytes)]
    };
    [both("account secret", &secret), both("pool key", key)].concat()
}

#[test]
fn secrets_are_nowhere_but_where_they_belong() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(program("crs-node"));
    command.args(["--dev", "--ready-json", "--set", "log-level debug", "--data"]);
    command
        .arg(folder.path().join("node"))
        .stderr(File::create(folder.path().join("err")).unwrap());
    let node = Serving::start(&mut command);
    let account = Account::make(folder.path(), &node.reach(), &[ALICE, BOB]);
    account.enrol("alice", ALICE);
    account.enrol("bob", BOB);
    let mut running = traces(folder.path(), &node);
    messages(&account, &folder.path().join("trace-message"));
    let created = account.cli(&["create", "account", "second", "-s", GIVEN.0]);
    assert!(!created.to_string().contains(GIVEN.0), "a given secret is not repeated: {created}");

    let mut said = Said::default();
    said.add("metrics", metrics(&node));
    answers(&node, &mut said);
    for name in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("/proc/{}/{name}", node.id())).unwrap();
        said.add(name, bytes);
    }
    for (mut trace, path) in running.drain(..) {
        trace.kill().unwrap();
        trace.wait().unwrap();
        said.add(&path.display().to_string(), std::fs::read(path).unwrap());
    }
    drop(node);
    said.add("standard error", std::fs::read(folder.path().join("err")).unwrap());
    let home = folder.path().join("node");
    said.add_folder(&home.join("log"));
    said.add_folder(&home.join("data"));

    let mut secrets = generated(folder.path());
    secrets.push(("given secret", GIVEN.0.as_bytes().to_vec()));
    secrets.push(("given secret in bytes", GIVEN.1.to_vec()));
    secrets.push(("text of a message", TEXT.as_bytes().to_vec()));
    secrets.push(("PIN", PIN.as_bytes().to_vec()));
    assert_eq!(said.find(&secrets), Vec::<Found>::new());
    // What is no secret is found: in the log, the traces, the answers and the data.
    let known = said.find(&[("account", b"demo".to_vec())]);
    for place in ["/log/", "/data/", "trace-message", "show account"] {
        assert!(known.iter().any(|found| found.place.contains(place)), "{place}: {known:?}");
    }
    // AD-11: no metric is of a user.
    let labels = said.find(&[("number", b"46700000001".to_vec())]);
    assert!(labels.iter().all(|found| found.place != "metrics"), "{labels:?}");
}
