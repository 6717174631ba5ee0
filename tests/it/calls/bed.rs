//! A node with users, clients of them, and the node's own trace of sessions.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use crs_client::{CallMedia, CallReport, Client, ClientError, Event, Identity, Options};
use crs_load::cli::Common;
use crs_load::common::bed::Bed;
use crs_proto::wire::life::Role;
use crs_tests::program;
use crs_types::{DeviceId, SessionId, Uri};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::bed::{PATIENCE, until};

/// A node of its own with this many users.
pub(super) async fn node(users: usize) -> Bed {
    let common = Common {
        spawn: 1,
        server: None,
        domain: None,
        pid: None,
        data_dir: None,
        bin_dir: Some(program("")),
        seed: 1,
        json: false,
        keep: false,
    };
    let settings = ["rate-limit invite 6000".to_owned(), "rate-limit lookup 6000".to_owned()];
    Bed::make(&common, users, &settings).await.expect("a node with users")
}

/// The nth user, to connect to `server`.
pub(super) fn identity(bed: &Bed, n: usize, server: &str) -> Identity {
    let mut identity = bed.users.identities[n].clone();
    identity.servers = vec![server.to_owned()];
    identity
}

pub(super) async fn client(bed: &Bed, n: usize) -> Arc<Client> {
    attach(identity(bed, n, &bed.server), Role::Primary, "first").await
}

/// An attached client that has this month's keys.
pub(super) async fn attach(mut identity: Identity, role: Role, device: &str) -> Arc<Client> {
    identity.device = DeviceId::parse(device).expect("a device");
    let backoff_cap = Duration::from_millis(500);
    let options = Options { role, backoff_cap, ..Options::default() };
    let client = Client::with_identity(identity, options).await.expect("a client");
    client.wait_attached(PATIENCE).await.expect("attached");
    until(&client, |event| matches!(event, Event::Updated { .. }).then_some(())).await;
    Arc::new(client)
}

type Reporting = JoinHandle<Result<CallReport, ClientError>>;

/// Calls, in a task of its own.
pub(super) fn call(client: &Arc<Client>, to: &Uri, media: CallMedia) -> Reporting {
    let (client, to) = (Arc::clone(client), to.clone());
    tokio::spawn(async move { client.call(&to, media).await })
}

/// Answers, in a task of its own.
pub(super) fn answer(client: &Arc<Client>, session: SessionId, media: CallMedia) -> Reporting {
    let client = Arc::clone(client);
    tokio::spawn(async move { client.answer(session, media).await })
}

/// How a call went.
pub(super) async fn report(task: Reporting) -> CallReport {
    let done = timeout(PATIENCE, task).await.expect("the call ends");
    done.expect("no panic").expect("a report")
}

/// `crs-cli trace session --verbose`, as an operator sees it.
pub(super) struct Trace {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Trace {
    /// Starts to trace and waits until events come, by calls of `caller` that reach nobody.
    pub(super) async fn start(bed: &Bed, caller: &Arc<Client>, probe: &Uri) -> Self {
        let node = bed.node.as_ref().expect("a node of our own");
        let mut child = Command::new(program("crs-cli"))
            .arg("--socket")
            .arg(&node.ready.admin_socket)
            .args(["--output", "json", "--verbose", "trace", "session"])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("crs-cli is built");
        let stdout = child.stdout.take().expect("its output");
        let mut trace = Self { _child: child, lines: BufReader::new(stdout).lines() };
        for _ in 0..100 {
            let session = report(call(caller, probe, CallMedia::default())).await.session;
            let wait = Duration::from_millis(200);
            if let Ok(line) = timeout(wait, trace.next()).await {
                trace.rest_of(session, line).await;
                return trace;
            }
        }
        panic!("no event of the trace");
    }

    /// The next line.
    async fn next(&mut self) -> Value {
        let line = self.lines.next_line().await.expect("readable").expect("crs-cli goes on");
        serde_json::from_str(&line).expect("JSON")
    }

    /// Skips what is left of the probe's calls.
    async fn rest_of(&mut self, last: SessionId, mut line: Value) {
        while line["session_id"] != last.to_string().as_str() {
            line = self.next().await;
        }
    }

    /// The next session that begins, and its states up to one that begins with `last`.
    pub(super) async fn states_of_next(&mut self, last: &str) -> (SessionId, Vec<String>) {
        let first = timeout(PATIENCE, self.next()).await.expect("a session begins");
        let session = first["session_id"].as_str().unwrap_or_default();
        let session: SessionId = session.parse().expect("an id");
        let mut states = vec![first["state"].as_str().unwrap_or_default().to_owned()];
        states.extend(self.states(session, last).await);
        (session, states)
    }

    /// The states of a session up to one that begins with `last`.
    pub(super) async fn states(&mut self, session: SessionId, last: &str) -> Vec<String> {
        let mut states = Vec::new();
        let look = async {
            loop {
                let line = self.next().await;
                if line["session_id"] != session.to_string().as_str() {
                    continue;
                }
                let state = line["state"].as_str().unwrap_or_default().to_owned();
                states.push(state.clone());
                if state.starts_with(last) {
                    return;
                }
            }
        };
        timeout(PATIENCE, look).await.expect("the trace gets there");
        states
    }
}
