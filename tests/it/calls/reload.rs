//! AD-13: a node reads its files again, good and bad ones, under attached clients and in a call:
//! nobody notices, and of a bad file the old state stays.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crs_client::CallMedia;
use crs_load::common::bed::Bed;
use crs_proto::wire::call::HangupReason;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::bed::{self, answer, call, report};
use crate::bed::{PATIENCE, rings};

const CLIENTS: usize = 8;
const TALK: Duration = Duration::from_secs(5);
/// What a side of a call of that length sends, at 20 ms a packet.
const PACKETS: u64 = 250;

/// Who is attached, by which connection.
async fn attached(bed: &Bed) -> BTreeSet<(String, u64)> {
    let shown = bed.cli(&["--output", "json", "--verbose", "show", "attach"]).await;
    let rows: Value = serde_json::from_slice(&shown.expect("the node answers")).expect("JSON");
    let row = |row: &Value| {
        let connection = row["connection"].as_u64().expect("an id");
        (row["uri"].as_str().expect("a number").to_owned(), connection)
    };
    rows.as_array().expect("rows").iter().map(row).collect()
}

/// The files of a node, and how often it has read them.
struct Files {
    local: std::path::PathBuf,
    good: String,
    metrics: String,
    pid: Pid,
}

impl Files {
    fn of(bed: &Bed) -> Self {
        let local = bed.folder().join("node/crs-local.conf");
        let good = std::fs::read_to_string(&local).expect("crs-local.conf");
        let listen = good.lines().find_map(|line| line.strip_prefix("metrics-listen "));
        let metrics = listen.expect("an address of the metrics").to_owned();
        let pid = i32::try_from(bed.pid().expect("a node of our own")).expect("a process id");
        Self { local, good, metrics, pid: Pid::from_raw(pid) }
    }

    /// Has the files read again with one line more, and waits until that had this outcome `times`.
    async fn reload(&self, line: &str, outcome: &str, times: u32) {
        std::fs::write(&self.local, format!("{}{line}\n", self.good)).expect("a file");
        kill(self.pid, Signal::SIGHUP).expect("the node lives");
        let wanted = format!("crs_config_reloads_total{{result=\"{outcome}\"}} {times}");
        let look = async {
            while !self.metrics().lines().any(|line| line == wanted) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("never {wanted:?}"));
    }

    fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(&self.metrics).expect("the metrics' port");
        let request = "GET /metrics HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        answer
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_disturbs_nobody() {
    let bed = bed::node(CLIENTS).await;
    let mut clients = Vec::new();
    for n in 0..CLIENTS {
        clients.push(bed::client(&bed, n).await);
    }
    let before = attached(&bed).await;
    assert_eq!(before.len(), CLIENTS);
    let files = Files::of(&bed);
    let to = bed.users.identities[1].uri.clone();
    let ends = CallMedia { duration: Some(TALK), ..CallMedia::default() };
    let calling = call(&clients[0], &to, ends);
    let session = rings(&clients[1]).await;
    let talking = answer(&clients[1], session, CallMedia::default());
    for times in 1..=5 {
        files.reload("log-level loud", "refused", times).await;
        files.reload("log-level debug", "applied", times).await;
    }
    let (caller, callee) = (report(calling).await, report(talking).await);
    for side in [&caller, &callee] {
        assert_eq!(side.reason, HangupReason::Normal, "{side:?}");
        assert!(side.media.received > PACKETS / 2, "{side:?}");
    }
    assert_eq!(attached(&bed).await, before, "by the same connections");
    drop(clients);
    bed.end().await.expect("the node ends");
}
