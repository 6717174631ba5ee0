//! The program in a terminal, or without one: interrupts, input that is none, files that do not fit.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crs_client::media::Codec;
use crs_client::media::wav::Audio;
use crs_client::profile::Profile;
use crs_proto::codec::Op;
use crs_proto::wire::life::UnregisteredReason;
use serde_json::Value;

use crate::server::{Fault, Server};

/// Far beyond what a run takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn command(profile: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crs-client"));
    command.arg("--profile").arg(profile).args(["--output", "json"]).args(arguments);
    command
        .env_remove("CRS_PIN")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn profile(folder: &Path, server: &Server, n: usize) -> PathBuf {
    let path = folder.join(format!("user-{n}"));
    drop(Profile::create(&path, server.identity(n)).unwrap());
    path
}

/// Exit code and what was said on standard error.
fn failed(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// What ctrl-c does.
fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Reads lines until one holds an event of this name.
fn wait_for(child: &mut Child, event: &str) {
    let mut output = BufReader::new(child.stdout.take().unwrap());
    loop {
        let mut line = String::new();
        assert!(output.read_line(&mut line).unwrap() > 0, "no {event}");
        let said: Value = serde_json::from_str(&line).unwrap();
        if said["event"] == event {
            // What comes later is not looked at, and must not end the program.
            std::mem::forget(output);
            return;
        }
    }
}

async fn ends(child: Child) -> Output {
    let pid = child.id().to_string();
    let mut waiting = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    if let Ok(output) = tokio::time::timeout(PATIENCE, &mut waiting).await {
        return output.unwrap();
    }
    // The thread that waits for it would keep the test from ending.
    let killed = Command::new("kill").args(["-KILL", &pid]).status().unwrap();
    panic!("it does not end ({killed}): {:?}", waiting.await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_ends_whatever_waits_for_a_time() {
    let server = Server::start(2, &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = profile(folder.path(), &server, 0);
    for arguments in [["receive", "--for", "2h"], ["answer", "--for", "2h"]] {
        let mut child = command(&path, &arguments).spawn().unwrap();
        let child = tokio::task::spawn_blocking(move || {
            if child.stdout.is_some() {
                wait_for(&mut child, "attached");
            }
            child
        });
        let child = child.await.unwrap();
        interrupt(&child);
        let output = ends(child).await;
        let expected = if arguments[0] == "receive" { 0 } else { 3 };
        assert_eq!(output.status.code(), Some(expected), "{arguments:?}: {output:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_was_replaced_does_not_look_as_if_it_waited() {
    let replaced = Fault::Ended(UnregisteredReason::Replaced);
    for arguments in [vec!["receive", "--for", "2h"], vec!["answer", "--for", "2h"], vec!["run"]] {
        let server = Server::start(1, &[("attach", 1, replaced)]).await;
        let folder = tempfile::tempdir().unwrap();
        let path = profile(folder.path(), &server, 0);
        let output = ends(command(&path, &arguments).spawn().unwrap()).await;
        let (code, said) = failed(&output);
        assert!(code == Some(1) && said.contains("another device"), "{arguments:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_call_is_hung_up() {
    let server = Server::start(2, &[("relay.alloc", 1, Fault::Silent)]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = profile(folder.path(), &server, 0);
    let child = command(&path, &["call", "+46700000001"]).spawn().unwrap();
    let invited = async {
        while server.state.calls.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, invited).await.expect("it calls");
    interrupt(&child);
    let output = ends(child).await;
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let calls = server.state.calls.lock().unwrap().clone();
    let [Op::Invite(invite), Op::Hangup(hangup)] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!(invite.session, hangup.session);
    assert_eq!(hangup.detail.as_deref(), Some("app-closed"));
}

#[tokio::test]
async fn a_sound_file_that_does_not_fit_is_told_before_anybody_is_called() {
    let server = Server::start(2, &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = profile(folder.path(), &server, 0);
    let good = Audio::tone(Codec::L16Mono8000, 440.0, 20).encode();
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = good.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    let files = [
        ("24-bit.wav", with(34, &[24, 0]), "24 bit"),
        ("stereo.wav", with(22, &[2, 0]), "2 channels"),
        ("empty.wav", good[..44].to_vec(), "holds no sound"),
        ("nothing.wav", Vec::new(), "not a WAV file"),
        ("odd.wav", b"RIFF\x05\0\0\0WAVEJUNK\x01\0\0\0x".to_vec(), "no data chunk"),
    ];
    for (name, content, why) in files {
        let file = folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        let file = file.to_str().unwrap().to_owned();
        let output = command(&path, &["call", "+46700000001", "--play", &file]).output().unwrap();
        let (code, said) = failed(&output);
        assert_eq!(code, Some(1), "{name}: {said}");
        assert!(said.contains(name) && said.contains(why), "{name}: {said}");
    }
    for (option, file) in [("--play", "none.wav"), ("--record", "none/heard.wav")] {
        let output = command(&path, &["answer", option, file]).output().unwrap();
        let (code, said) = failed(&output);
        assert!(code == Some(1) && said.contains(file), "{said}");
    }
    assert!(server.state.calls.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_terminal_it_says_what_to_give_and_goes_on_behind_nonsense() {
    let server = Server::start(2, &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = profile(folder.path(), &server, 0);
    let bundle = folder.path().join("alice.crsenrol");
    std::fs::write(&bundle, b"x").unwrap();
    let bundle = bundle.to_str().unwrap();
    let (code, said) = failed(&command(&path, &["enrol", bundle]).output().unwrap());
    assert!(code == Some(1) && said.contains("give --pin or set CRS_PIN"), "{said}");

    let typed = |arguments: &[&str], input: &[u8]| {
        let mut command = command(&path, arguments);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child
    };
    let output = ends(typed(&["send", "+46700000001", "-"], b"\xff\xfe")).await;
    let (code, said) = failed(&output);
    assert!(code == Some(1) && said.contains("expected text in UTF-8"), "{said}");
    let output = ends(typed(&["run"], b"\xff\n/decline\n/msg nobody x\n/contacts\n/quit\n")).await;
    assert!(output.status.success(), "{output:?}");
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), failed(&output).1);
    assert!(said.contains("\"help\"") && said.contains("\"contacts\""), "{said}");
    assert!(wrong.contains("nothing rings") && wrong.contains("expected a number"), "{wrong}");
}

#[test]
fn every_command_shows_an_example() {
    let help = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_crs-client")).args(arguments).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let all = help(&["--help"]);
    let commands = all.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = commands.map_while(|line| line.split_whitespace().next());
    let names: Vec<&str> = names.filter(|name| *name != "help").collect();
    assert!(names.len() > 8 && all.contains("Examples:"), "{all}");
    for name in names {
        let text = help(&[name, "--help"]);
        assert!(text.contains("Example"), "{name}: {text}");
    }
}
