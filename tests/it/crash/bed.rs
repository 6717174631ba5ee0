//! A node that is killed and started again, and two clients that write to each other.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crs_load::common::bed::find;
use crs_tests::program;
use serde_json::Value;

use crate::bed::{Account, Serving};

const ALICE: &str = "+46700000001";
const BOB: &str = "+46700000002";

/// The node and its account.
pub(super) struct Bed {
    folder: PathBuf,
    settings: Vec<String>,
    node: Option<Serving>,
    account: Account,
}

impl Bed {
    /// Starts a node in `folder` with these directives, and enrols Alice and Bob.
    pub(super) fn start(folder: &Path, settings: &[String]) -> Self {
        let node = start_node(folder, settings);
        let account = Account::make(folder, &node.reach(), &[ALICE, BOB]);
        account.enrol("alice", ALICE);
        account.enrol("bob", BOB);
        let (folder, settings) = (folder.to_owned(), settings.to_owned());
        Self { folder, settings, node: Some(node), account }
    }

    /// kill -9, and a new start on what is there.
    pub(super) fn kill_and_restart(&mut self) {
        drop(self.node.take());
        self.node = Some(start_node(&self.folder, &self.settings));
    }

    /// Alice writes to Bob and waits so long for the confirmation.
    pub(super) fn send(&self, text: &str, within: &str) -> Command {
        let mut command = self.account.client("alice");
        command.args(["send", BOB, text, "--within", within]);
        command
    }

    /// Bob writes to Alice.
    pub(super) fn reply(&self, text: &str, within: &str) -> Command {
        let mut command = self.account.client("bob");
        command.args(["send", ALICE, text, "--within", within]);
        command
    }

    /// Texts that Bob receives and acknowledges: until there are `count`, for at most so long.
    pub(super) fn received(&self, count: usize, within: &str) -> Vec<String> {
        let mut command = self.account.client("bob");
        command.args(["receive", "--count", &count.to_string(), "--for", within]);
        let lines = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter_map(|line| find(&line, "text")).collect()
    }

    /// Runs crs-cli, which must succeed.
    pub(super) fn cli(&self, arguments: &[&str]) -> Value {
        self.account.cli(arguments)
    }

    /// What the ready endpoint answers.
    pub(super) fn ready(&self) -> String {
        let node = self.node.as_ref().expect("a running node");
        let mut stream = TcpStream::connect(node.text("metrics")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET /ready HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

fn start_node(folder: &Path, settings: &[String]) -> Serving {
    let mut command = Command::new(program("crs-node"));
    command.args(["--dev", "--ready-json", "--data"]).arg(folder.join("node"));
    for directive in settings {
        command.args(["--set", directive]);
    }
    Serving::start(&mut command)
}
