//! `crs-load` when it cannot run or is stopped: it says why, and leaves nothing behind.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crs_tests::program;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// `crs-load` with a folder of its own for what it makes.
fn load(temp: &Path, words: &str) -> Command {
    let mut command = Command::new(program("crs-load"));
    command.args(words.split_whitespace()).env("TMPDIR", temp);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Processes whose parent this is, with their names.
fn children(parent: u32) -> Vec<(u32, String)> {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let stat = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("stat")).ok();
    let child = |stat: String| {
        let (head, rest) = stat.rsplit_once(") ")?;
        let (pid, name) = head.split_once(" (")?;
        let of: u32 = rest.split(' ').nth(1)?.parse().ok()?;
        (of == parent).then_some((pid.parse().ok()?, name.to_owned()))
    };
    processes.filter_map(stat).filter_map(child).collect()
}

/// The pids of its node and of its floor once both run.
fn helpers(load: &mut Child, wanted: &[&str]) -> Vec<u32> {
    for _ in 0..6_000 {
        let running = children(load.id());
        let pid =
            |name: &&str| running.iter().find(|(_, other)| other == name).map(|(pid, _)| *pid);
        if let Some(pids) = wanted.iter().map(pid).collect() {
            return pids;
        }
        assert!(load.try_wait().expect("its state").is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{wanted:?} do not run");
}

/// True once a process is gone. One that its parent left behind is ended a moment later.
fn gone(pid: u32) -> bool {
    (0..500).any(|_| {
        let left = Path::new(&format!("/proc/{pid}")).exists();
        if left {
            std::thread::sleep(Duration::from_millis(10));
        }
        !left
    })
}

fn stopped_by(signal: Signal, words: &str, wanted: &[&str]) {
    let temp = tempfile::tempdir().expect("a folder");
    let mut running = load(temp.path(), words).spawn().expect("crs-load is built");
    let pids = helpers(&mut running, wanted);
    kill(Pid::from_raw(i32::try_from(running.id()).expect("a pid")), signal).expect("a signal");
    let mut said = String::new();
    running.stderr.take().expect("its errors").read_to_string(&mut said).expect("text");
    let status = running.wait().expect("it ends");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("stopped by {signal}")), "{said}");
    assert!(pids.into_iter().all(gone), "{words}: something goes on running");
    let left = std::fs::read_dir(temp.path()).expect("the folder").count();
    assert_eq!(left, 0, "{words}: files are left");
}

#[test]
fn a_load_that_is_stopped_takes_its_node_along() {
    stopped_by(Signal::SIGINT, "messages --spawn 1 --seconds 600", &["crs-node"]);
    stopped_by(Signal::SIGTERM, "idle --spawn 1 --clients 3 --settle 600", &["crs-node"]);
}

#[test]
fn a_load_that_is_stopped_takes_its_floor_along() {
    // The floor is a process of the same program.
    let words = "storm --spawn 1 --clients 3 --jitter-ms 2000";
    stopped_by(Signal::SIGINT, words, &["crs-node", "crs-load"]);
}

#[test]
fn what_keeps_a_load_from_running_is_named() {
    let temp = tempfile::tempdir().expect("a folder");
    let bin = temp.path().join("bin");
    std::fs::create_dir(&bin).expect("a folder");
    let node = bin.join("crs-node");
    std::fs::write(&node, "#!/bin/sh\necho 'no room for a node' >&2\nexit 1\n").expect("a file");
    std::fs::set_permissions(&node, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let ended = format!("idle --spawn 1 --bin-dir {}", bin.display());
    for (words, code, why) in [
        ("idle --clients many", 2, "invalid value 'many'"),
        ("idle --spawn 2", 2, "2 is not in 0..=1"),
        ("idle", 1, "give --spawn 1, or --server and --domain"),
        ("messages --kill9 2", 1, "--kill9 needs a node of our own"),
        ("messages --spawn 1 --rate 0", 1, "a rate above 0"),
        ("relay", 1, "give --spawn 1"),
        ("idle --spawn 1 --bin-dir /nonexistent", 1, "start /nonexistent/crs-node"),
        (&ended, 1, "the node ended: no room for a node"),
    ] {
        let output = load(temp.path(), words).output().expect("crs-load is built");
        assert_eq!(output.status.code(), Some(code), "{words}: {}", stderr(&output));
        assert!(stderr(&output).contains(why), "{words}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{words}: no result");
    }
    let left = std::fs::read_dir(temp.path()).expect("the folder").count();
    assert_eq!(left, 1, "only the planted program is left");
}

#[test]
fn too_few_open_files_are_told_before_anything_is_started() {
    for kind in [
        "idle --clients 2000",
        "storm --clients 1000",
        "calls --calls 1000",
        "messages --clients 2000",
    ] {
        let words =
            format!("ulimit -n 900; exec {} {kind} --spawn 1", program("crs-load").display());
        let output = Command::new("sh").args(["-c", &words]).output().expect("sh");
        assert_eq!(output.status.code(), Some(1), "{kind}: {}", stderr(&output));
        assert!(stderr(&output).contains("open files and the limit is 900"), "{}", stderr(&output));
    }
}
