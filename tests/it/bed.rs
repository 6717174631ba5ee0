//! What the tests with real processes share: a node that says when it serves, an account of it with
//! its offline key management and its clients, all through the programs.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crs_client::{Client, Event};
use crs_load::common::bed::find;
use crs_tests::program;
use crs_types::SessionId;
use serde_json::Value;
use tokio::time::timeout;

/// Far beyond what anything here takes; only what hangs meets it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Of all enrolment bundles.
pub(crate) const PIN: &str = "314159265358";

/// A running node; killed when dropped.
pub(crate) struct Serving {
    child: Child,
    ready: Value,
}

/// How an account's tools reach a node.
pub(crate) struct Reach<'a> {
    pub(crate) socket: &'a str,
    pub(crate) server: &'a str,
    pub(crate) pool_ca: &'a str,
}

/// An account of a node, its domain and the profiles of its users, in one folder.
pub(crate) struct Account {
    folder: PathBuf,
    socket: String,
}

impl Serving {
    /// Starts a node that is told `--ready-json`, and waits for what it says.
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the node is built");
        let mut line = String::new();
        let output = child.stdout.take().expect("piped");
        BufReader::new(output).read_line(&mut line).expect("it says when it serves");
        let ready = serde_json::from_str(&line).unwrap_or_else(|_| {
            panic!("the node did not start; its error output says why: {line:?}")
        });
        Self { child, ready }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it said when it served.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap_or_else(|| panic!("no {name}: {}", self.ready))
    }

    /// How tools reach it.
    pub(crate) fn reach(&self) -> Reach<'_> {
        let [socket, server, pool_ca] =
            ["admin_socket", "client", "pool_ca"].map(|name| self.text(name));
        Reach { socket, server, pool_ca }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has noticed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Account {
    /// Makes an account with these users, and applies the update file of this month.
    pub(crate) fn make(folder: &Path, node: &Reach<'_>, users: &[&str]) -> Self {
        let account = Self { folder: folder.to_owned(), socket: node.socket.to_owned() };
        let path = |name: &str| folder.join(name).display().to_string();
        let created = account.cli(&["create", "account", "demo"]);
        let secret = find(&created, "shared_secret").expect("a secret");
        std::fs::write(path("secret.txt"), secret).expect("a file");
        let mut init = tool("crs-cms");
        init.args(["init", "--account", "demo", "--secret-file", &path("secret.txt")]);
        init.args(["--server", node.server, "--server-ca", node.pool_ca, &path("domain")]);
        checked(&mut init);
        account.cms(&[&["user", "add"], users].concat());
        account.cms(&["update", "create", "-o", &path("month.upd")]);
        let print = find(&account.cms(&["fingerprint"]), "fingerprint").expect("a fingerprint");
        account.cli(&["apply", &path("month.upd"), "--confirm-fingerprint", &print]);
        account
    }

    /// Enrols a user; the profile is called `name`.
    pub(crate) fn enrol(&self, name: &str, number: &str) {
        let bundle = self.folder.join(format!("{name}.crsenrol")).display().to_string();
        self.cms(&["enrol", number, "--pin", PIN, "-o", &bundle]);
        checked(self.client(name).args(["enrol", &bundle, "--device", "one", "--pin", PIN]));
        checked(self.client(name).arg("update"));
    }

    /// Runs crs-cli.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Value {
        let mut command = tool("crs-cli");
        command.args(["--output", "json", "--socket", &self.socket]).args(arguments);
        json(&checked(&mut command))
    }

    /// Runs crs-cms in the account's domain.
    pub(crate) fn cms(&self, arguments: &[&str]) -> Value {
        let mut command = tool("crs-cms");
        command.arg("--dir").arg(self.folder.join("domain")).args(["--output", "json"]);
        json(&checked(command.args(arguments)))
    }

    /// crs-client with a user's profile.
    pub(crate) fn client(&self, name: &str) -> Command {
        let mut command = tool("crs-client");
        command.args(["--output", "json", "--profile"]).arg(self.folder.join(name));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// Output of a program that must succeed.
pub(crate) fn checked(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    output
}

/// The first event that is wanted.
pub(crate) async fn until<T>(client: &Client, wanted: impl Fn(&Event) -> Option<T>) -> T {
    let look = async {
        loop {
            let event = client.next_event().await.expect("the client lives");
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    };
    timeout(PATIENCE, look).await.expect("the event comes")
}

/// The next call that rings at a client.
pub(crate) async fn rings(client: &Client) -> SessionId {
    until(client, |event| if let Event::Incoming(call) = event { Some(call.session) } else { None })
        .await
}

/// A program of this workspace that does not run for ever.
fn tool(name: &str) -> Command {
    let mut command = Command::new("timeout");
    command.arg(PATIENCE.as_secs().to_string()).arg(program(name));
    command
}

/// Nothing when it says nothing.
fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}
