//! The program is killed at any moment, again and again: what it said it had is neither lost
//! nor said twice.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crs_client::profile::Profile;
use crs_client::{Client, Event, Options};
use crs_types::Rng;
use crs_types::rng::SeededRng;
use serde_json::Value;

use crate::server::{Fault, Server};

const PATIENCE: Duration = Duration::from_secs(60);
const COUNT: usize = 30;
const KILLS: usize = 12;

fn program(profile: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_crs-client"))
        .arg("--profile")
        .arg(profile)
        .args(["--output", "json"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Runs until it ends or has printed `lines` lines, and kills it then; its whole lines.
fn lines(mut child: Child, lines: usize) -> Vec<Value> {
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut said = Vec::new();
    let mut read = |said: &mut Vec<Value>| {
        let mut line = String::new();
        let more = output.read_line(&mut line).unwrap() > 0 && line.ends_with('\n');
        if more {
            said.push(serde_json::from_str(&line).unwrap());
        }
        more
    };
    while said.len() < lines && read(&mut said) {}
    let _ended = child.kill();
    child.wait().unwrap();
    // What was in the pipe when it died was said, too.
    while read(&mut said) {}
    said
}

fn draw(rng: &mut SeededRng, below: usize) -> usize {
    let mut byte = [0];
    rng.fill(&mut byte);
    usize::from(byte[0]) % below
}

fn texts(said: &[Value]) -> Vec<String> {
    let messages = said.iter().filter(|line| line["event"] == "message");
    messages.map(|m| m["text"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_receiver_loses_nothing_and_repeats_only_what_it_was_printing() {
    let server = Server::start(2, &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("bob");
    drop(Profile::create(&profile, server.identity(1)).unwrap());
    let alice = Client::with_identity(server.identity(0), Options::default()).await.unwrap();
    let to = server.identity(1).uri;
    for n in 0..COUNT {
        alice.send_confirmed(&to, format!("message {n}").as_bytes(), PATIENCE).await.unwrap();
    }
    let mut rng = SeededRng::new(5);
    let mut runs: Vec<Vec<String>> = Vec::new();
    for _ in 0..KILLS {
        let after = draw(&mut rng, 7);
        let path = profile.clone();
        let said = tokio::task::spawn_blocking(move || lines(program(&path, &["receive"]), after));
        runs.push(texts(&said.await.unwrap()));
    }
    let path = profile.clone();
    let rest = move || lines(program(&path, &["receive", "--for", "3s"]), usize::MAX);
    runs.push(texts(&tokio::task::spawn_blocking(rest).await.unwrap()));

    // The line is printed before `done`: a kill between the two says the last line again, which
    // is all that may be said twice.
    let mut all: Vec<String> = Vec::new();
    for run in &runs {
        let repeated = run.first().is_some_and(|first| all.last() == Some(first));
        all.extend(run.iter().skip(usize::from(repeated)).cloned());
    }
    let expected: Vec<_> = (0..COUNT).map(|n| format!("message {n}")).collect();
    assert_eq!(all, expected, "{runs:?}");
    assert!(runs.iter().filter(|run| !run.is_empty()).count() > 2, "killed amid: {runs:?}");
    assert_eq!(server.waiting(), 0, "all was acknowledged");
    alice.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_sender_posts_what_it_took_once() {
    let server = Server::start(2, &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("alice");
    drop(Profile::create(&profile, server.identity(0)).unwrap());
    let to = server.identity(1).uri.to_string();
    let mut rng = SeededRng::new(9);
    let mut confirmed = Vec::new();
    for n in 0..KILLS {
        let (path, to) = (profile.clone(), to.clone());
        let pause = Duration::from_millis(20 * draw(&mut rng, 12) as u64);
        let said = tokio::task::spawn_blocking(move || {
            let child = program(&path, &["send", &to, &format!("message {n}")]);
            // The moment of the kill is drawn; nothing waits for this pause.
            std::thread::sleep(pause);
            lines(child, 0)
        });
        if said.await.unwrap().iter().any(|line| line["event"] == "posted") {
            confirmed.push(format!("message {n}"));
        }
    }
    // What is left in the outbox goes out with the next one.
    let (path, last) = (profile.clone(), to.clone());
    let send = move || lines(program(&path, &["send", &last, "the last"]), usize::MAX);
    let said = tokio::task::spawn_blocking(send).await.unwrap();
    assert!(said.iter().any(|line| line["event"] == "posted"), "{said:?}");
    confirmed.push("the last".to_owned());

    let bob = Client::with_identity(server.identity(1), Options::default()).await.unwrap();
    let mut got = Vec::new();
    let receive = async {
        while got.last().map(String::as_str) != Some("the last") {
            let Some(Event::Message(message)) = bob.next_event().await else { continue };
            got.push(String::from_utf8(message.content.unwrap()).unwrap());
            bob.done(message.seq).await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, receive).await.expect("all arrives");
    let mut once = got.clone();
    once.dedup();
    assert_eq!(got, once, "nothing twice");
    assert!(confirmed.iter().all(|text| got.contains(text)), "{confirmed:?} of {got:?}");
    let order: Vec<_> = (0..KILLS).map(|n| format!("message {n}")).collect();
    let places: Vec<_> = got.iter().filter_map(|t| order.iter().position(|o| o == t)).collect();
    assert!(places.is_sorted(), "in order: {got:?}");
    bob.close().await;
}

/// Waits until what was planned has gone wrong.
async fn all_went_wrong(server: &Server) {
    let wrong = async {
        while server.faults_left() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wrong).await.expect("the fault happens");
}

/// On the receiver's disk and not acknowledged, acknowledged without its knowing, or not even there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_killed_between_its_disk_and_the_server_has_the_message_once() {
    let faults =
        [("msg.fetch", Fault::After), ("msg.ack", Fault::Silent), ("msg.ack", Fault::After)];
    for (op, fault) in faults {
        let server = Server::start(2, &[(op, 1, fault)]).await;
        let folder = tempfile::tempdir().unwrap();
        let profile = folder.path().join("bob");
        drop(Profile::create(&profile, server.identity(1)).unwrap());
        server.deliver_as(server.keys(0), 1, "once");
        let mut child = program(&profile, &["receive"]);
        all_went_wrong(&server).await;
        child.kill().unwrap();
        let first = tokio::task::spawn_blocking(move || lines(child, usize::MAX)).await.unwrap();
        let rest = move || lines(program(&profile, &["receive", "--for", "2s"]), usize::MAX);
        let second = tokio::task::spawn_blocking(rest).await.unwrap();
        // What was printed and not noted as done before the kill is printed again, no more.
        let (first, second) = (texts(&first), texts(&second));
        assert!(first.len() <= 1 && second.len() <= 1, "{op} {fault:?}: {first:?} {second:?}");
        let all = [first, second].concat();
        assert!(
            all.iter().all(|text| text == "once") && !all.is_empty(),
            "{op} {fault:?}: {all:?}"
        );
        assert_eq!(server.waiting(), 0, "{op} {fault:?}");
    }
}

/// On the sender's disk and not posted, or posted without its knowing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_killed_between_its_disk_and_the_server_sends_the_message_once() {
    for fault in [Fault::Silent, Fault::After, Fault::Before] {
        let server = Server::start(2, &[("msg.post", 1, fault)]).await;
        let folder = tempfile::tempdir().unwrap();
        let profile = folder.path().join("alice");
        drop(Profile::create(&profile, server.identity(0)).unwrap());
        let to = server.identity(1).uri.to_string();
        let mut child = program(&profile, &["send", &to, "once"]);
        all_went_wrong(&server).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let last = move || lines(program(&profile, &["send", &to, "last"]), usize::MAX);
        let said = tokio::task::spawn_blocking(last).await.unwrap();
        assert!(said.iter().any(|line| line["event"] == "posted"), "{fault:?}: {said:?}");
        let bob = Client::with_identity(server.identity(1), Options::default()).await.unwrap();
        let mut got = Vec::new();
        let receive = async {
            while got.last().map(String::as_str) != Some("last") {
                let Some(Event::Message(message)) = bob.next_event().await else { continue };
                got.push(String::from_utf8(message.content.unwrap()).unwrap());
            }
        };
        tokio::time::timeout(PATIENCE, receive).await.expect("all arrives");
        assert_eq!(got, ["once", "last"], "{fault:?}");
        bob.close().await;
    }
}

/// What a shell's script does: waits for a line, and interrupts. The program is at that moment busy
/// with what it printed; the interrupt must not get lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_that_comes_while_a_message_is_acknowledged_ends_the_program() {
    const TIMES: usize = 10;
    let server = Server::start(2, &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("bob");
    drop(Profile::create(&profile, server.identity(1)).unwrap());
    let alice = Client::with_identity(server.identity(0), Options::default()).await.unwrap();
    let to = server.identity(1).uri;
    for n in 0..TIMES {
        alice.send_confirmed(&to, format!("message {n}").as_bytes(), PATIENCE).await.unwrap();
        let mut child = program(&profile, &["receive"]);
        let (pid, output) = (child.id().to_string(), child.stdout.take().unwrap());
        let signal = |name: &str| Command::new("kill").args([name, &pid]).status().unwrap();
        let printed = tokio::task::spawn_blocking(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.into_iter().any(|line| line.contains("\"message\""))
        });
        assert!(printed.await.unwrap(), "{n}");
        assert!(signal("-INT").success());
        let mut ended = tokio::task::spawn_blocking(move || child.wait().unwrap());
        let in_time = tokio::time::timeout(PATIENCE / 6, &mut ended).await.is_ok();
        if !in_time {
            signal("-KILL");
            ended.await.unwrap();
        }
        assert!(in_time, "interrupt {n} was lost");
    }
    alice.close().await;
}
