//! What a hint has between backticks works when it is pasted into a shell.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crs_admin_api::command::doctor::{Check, Reply as Findings, Verdict};
use crs_admin_api::command::show_node;
use crs_admin_api::{AdminError, Code, Reply, Request};
use crs_types::shell;

use crate::fake::{FakeNode, stderr, stdout};
use crate::upload;

/// Runs a line in a shell that finds this build's programs, with nothing in the environment that
/// names a node.
fn paste(line: &str) -> Output {
    let programs = PathBuf::from(env!("CARGO_BIN_EXE_crs-cli"));
    let path = std::env::var("PATH").unwrap_or_default();
    Command::new("sh")
        .args(["-c", line])
        .env("PATH", format!("{}:{path}", programs.parent().unwrap().display()))
        .env_remove("CRS_SOCKET")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap()
}

fn at(socket: &Path, words: &str) -> String {
    format!("crs-cli --socket {} {words}", shell::word(socket.to_str().unwrap()))
}

/// The commands of a printed error.
fn commands(error: &Output) -> Vec<String> {
    shell::commands(&stderr(error)).map(str::to_owned).collect()
}

/// Refuses the first request as asked and every later one with "reached".
fn refusing(code: Code) -> FakeNode {
    let refused = AtomicBool::new(false);
    FakeNode::new(move |_| {
        let first = !refused.swap(true, Ordering::SeqCst);
        Err(AdminError::new(if first { code } else { Code::Internal }, "reached"))
    })
}

#[test]
fn every_hint_of_a_code_reaches_the_same_node() {
    for code in Code::ALL {
        let node = refusing(*code);
        let refused = paste(&at(&node.socket(), "show node"));
        for command in commands(&refused) {
            // Here is no sudo, no systemd, and nobody is root.
            let own = command.strip_prefix("sudo ").unwrap_or(&command);
            if !own.starts_with("crs-cli ") {
                assert!(own.starts_with("systemctl ") || own.starts_with("openssl "), "{command}");
                continue;
            }
            let pasted = paste(own);
            let reached = (stdout(&pasted) + &stderr(&pasted)).contains("reached");
            let alone = pasted.status.code() == Some(0);
            assert!(reached || alone, "{code:?}: {command}: {pasted:?}");
        }
    }
}

#[test]
fn the_hint_of_an_unconfirmed_file_applies_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("this month.upd");
    std::fs::write(&path, b"file").unwrap();
    let node = upload::node(Arc::default());
    let file = shell::word(path.to_str().unwrap()).into_owned();
    let refused = paste(&at(&node.socket(), &format!("apply {file}")));
    assert_eq!(refused.status.code(), Some(2));
    let [command] = &commands(&refused)[..] else { panic!("{refused:?}") };
    let pasted = paste(command);
    assert_eq!(pasted.status.code(), Some(0), "{command}: {}", stderr(&pasted));
}

#[test]
fn remedies_and_next_steps_reach_the_same_node() {
    let node = FakeNode::new(|request| {
        if let Request::ShowNode(_) = request {
            let next = Some("no leader: `crs-cli doctor --only quorum`".to_owned());
            let (nodes, failed) = (Vec::new(), Vec::new());
            return Ok(Reply::ShowNode(show_node::Reply { nodes, failed, next }));
        }
        let Request::Doctor(ask) = request else { panic!("{request:?}") };
        if !ask.only.is_empty() {
            return Err(AdminError::new(Code::Internal, "reached"));
        }
        let check = Check::ok("storage", "quorum", "none");
        let check = check.finding(Verdict::Fail, "too few nodes", "crs-cli show node");
        Ok(Reply::Doctor(Findings::of(vec![check])))
    });
    let doctor = stdout(&paste(&at(&node.socket(), "doctor")));
    let fix = doctor.lines().find_map(|line| line.trim().strip_prefix("fix")).unwrap().trim();
    let shown = stdout(&paste(fix));
    let next = shell::commands(&shown).next().unwrap_or_else(|| panic!("{fix}: {shown}"));
    let findings = paste(next);
    assert!(stdout(&findings).contains("reached"), "{next}: {findings:?}");
}

/// A node that does not answer: the remedy is one command, without the sentence around it.
#[test]
fn the_remedy_for_a_node_that_is_down_is_a_command() {
    let doctor = stdout(&paste("crs-cli --socket /nonexistent/crs.sock doctor"));
    assert!(doctor.contains("fix    systemctl status crs\n"), "{doctor}");
}
