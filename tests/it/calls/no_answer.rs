//! A call to a phone that is attached and does nothing, with the programs as people run them.

use std::process::Stdio;
use std::time::Duration;

use crs_client::profile::Profile;
use crs_load::common::bed::Bed;
use crs_tests::program;
use crs_types::SessionId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::bed::{self, Trace};
use crate::bed::PATIENCE;

/// `crs-client` with the profile of the nth user.
fn crs_client(bed: &Bed, n: usize) -> Command {
    let mut command = Command::new(program("crs-client"));
    command.arg("--profile").arg(profile(bed, n));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

fn profile(bed: &Bed, n: usize) -> std::path::PathBuf {
    bed.folder().join(format!("profile-{n}"))
}

/// A profile with this month's keys.
async fn enrol(bed: &Bed, n: usize) {
    drop(Profile::create(&profile(bed, n), bed::identity(bed, n, &bed.server)).expect("a profile"));
    let updated = crs_client(bed, n).arg("update").output();
    let updated = timeout(PATIENCE, updated).await.expect("it ends").expect("crs-client is built");
    assert!(updated.status.success(), "{updated:?}");
}

/// A client program that stays attached.
struct Phone {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Phone {
    async fn start(bed: &Bed, n: usize) -> Self {
        let mut child =
            crs_client(bed, n).args(["--output", "json", "run"]).spawn().expect("built");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut phone = Self { child, lines };
        phone.says("attached").await;
        phone
    }

    /// The next event of this name.
    async fn says(&mut self, event: &str) -> Value {
        let look = async {
            loop {
                let line = self.lines.next_line().await.expect("readable").expect("it goes on");
                let line: Value = serde_json::from_str(&line).expect("JSON");
                if line["event"] == event {
                    return line;
                }
            }
        };
        timeout(PATIENCE, look).await.expect("the event comes")
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().expect("it runs");
        kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), signal)
            .expect("the signal is sent");
    }
}

/// What `show session` says of the call to this number: its state and its id.
async fn session_to(bed: &Bed, callee: &str) -> (String, SessionId) {
    let look = async {
        loop {
            let shown = bed.cli(&["--output", "json", "--verbose", "show", "session"]).await;
            let rows: Value =
                serde_json::from_slice(&shown.expect("crs-cli answers")).expect("JSON");
            let mut rows = rows.as_array().into_iter().flatten();
            if let Some(row) = rows.find(|row| row["callee"] == callee) {
                let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
                return (text("state"), text("session_id").parse().expect("an id"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, look).await.expect("there is a session")
}

/// The phone's program is stopped, as a system does with those in the background: its connection
/// is there, and nothing rings. The server gives up after its 20 seconds.
#[tokio::test]
async fn a_phone_that_does_nothing_is_no_answer() {
    let bed = bed::node(4).await;
    let (tracer, absent) = (bed::client(&bed, 2).await, bed.users.identities[3].uri.clone());
    let mut trace = Trace::start(&bed, &tracer, &absent).await;
    enrol(&bed, 0).await;
    enrol(&bed, 1).await;
    let mut phone = Phone::start(&bed, 1).await;
    phone.signal(Signal::SIGSTOP);
    let to = bed.users.identities[1].uri.to_string();
    let calling = crs_client(&bed, 0).args(["call", &to]).spawn().expect("crs-client is built");
    let calling = tokio::spawn(calling.wait_with_output());
    let states = trace.states_of_next("hangup");
    let (shown, (session, states)) = tokio::join!(session_to(&bed, &to), states);
    assert_eq!(shown, ("invite".to_owned(), session));
    assert_eq!(states, ["invite", "hangup(no-answer; crs)"]);

    let called = timeout(PATIENCE, calling).await.expect("it ends").expect("no panic");
    let called = called.expect("its output");
    let said = String::from_utf8_lossy(&called.stdout);
    assert_eq!(said, format!("no call with {to}: hangup (no-answer)\n"));
    assert_eq!(called.status.code(), Some(3), "{called:?}");
    let (state, _) = session_to(&bed, &to).await;
    assert_eq!(state, "hangup(no-answer, crs)");

    // Awake again, it learns of the call that it has missed.
    phone.signal(Signal::SIGCONT);
    let missed = phone.says("incoming").await;
    assert_eq!(missed["session"], session.to_string());
    let ended = phone.says("call-ended").await;
    assert_eq!((&ended["session"], &ended["reason"]), (&missed["session"], &"no-answer".into()));
    bed.end().await.expect("the node ends");
}
