//! One shell that runs commands one after the other and tells each one's output and status.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// No command of a document takes longer.
const LIMIT: Duration = Duration::from_secs(60);
const LINES_MAX: usize = 10_000;

pub(super) struct Shell {
    child: Child,
    input: ChildStdin,
    output: Receiver<String>,
    count: u32,
}

impl Shell {
    /// Starts bash in `folder` with the programs of this workspace on the path, in a process
    /// group of its own, so that what it leaves running can be ended with it.
    pub(super) fn start(folder: &Path) -> Self {
        use std::os::unix::process::CommandExt;
        let programs = crs_tests::program("");
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
        let mut child = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .current_dir(folder)
            .env("PATH", path)
            .env("HOME", folder)
            .env("NO_COLOR", "1")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash starts");
        let mut input = child.stdin.take().expect("piped");
        let printed = child.stdout.take().expect("piped");
        writeln!(input, "exec 2>&1").expect("bash reads");
        let (lines, output) = sync_channel(LINES_MAX);
        std::thread::spawn(move || {
            for line in BufReader::new(printed).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, input, output, count: 0 }
    }

    /// Runs a command to its end; `Err` when it fails or takes too long.
    pub(super) fn run(&mut self, command: &str) -> Result<Vec<String>, String> {
        self.count += 1;
        let mark = format!("__end_of_command_{}__", self.count);
        writeln!(self.input, "{command}\necho {mark} $?").map_err(|e| e.to_string())?;
        let mut printed = Vec::new();
        loop {
            match self.output.recv_timeout(LIMIT) {
                Ok(line) => match line.split_once(&mark) {
                    None => printed.push(line),
                    Some((_, status)) if status.trim() == "0" => return Ok(printed),
                    Some((_, status)) => {
                        return Err(format!("exit{status}\n{}", printed.join("\n")));
                    }
                },
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("no end within {LIMIT:?}\n{}", printed.join("\n")));
                }
                Err(RecvTimeoutError::Disconnected) => return Err("the shell ended".to_owned()),
            }
        }
    }

    /// The end of a node's log below `folder`, for the message of a failed test.
    pub(super) fn node_log(&self, folder: &Path) -> String {
        let log = folder.join("node/log/crs.log");
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if let Ok(group) = i32::try_from(self.child.id()) {
            let group = nix::unistd::Pid::from_raw(group);
            let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}
