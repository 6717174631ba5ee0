//! Running the program in a fresh folder.

use std::path::Path;
use std::process::{Command, Output};

/// A pool key for tests.
pub(crate) const KEY: &str = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";

/// The program, ready for arguments, in a folder.
pub(crate) fn node(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crs-node"));
    command.current_dir(folder);
    command
}

/// Exit status, standard output, standard error.
pub(crate) fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// Writes files into a folder, for nobody else to read.
pub(crate) fn write(folder: &Path, files: &[(&str, &str)]) {
    use std::os::unix::fs::PermissionsExt;
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// A node that runs in a development folder; it is killed with this value.
pub(crate) struct Running {
    child: std::process::Child,
    /// The line it printed when it served.
    pub(crate) ready: serde_json::Value,
}

impl Running {
    /// Starts `crs-node --dev` and waits until it serves.
    pub(crate) fn start(folder: &Path) -> Self {
        use std::io::{BufRead, BufReader};
        let mut child = node(folder)
            .args(["--dev", "--data", "pool", "--ready-json"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| {
            panic!("the node did not start ({error}): {line:?}");
        });
        Self { child, ready }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Waits for its end; its exit status.
    pub(crate) fn wait(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Status and body of a GET at the metrics address.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        use std::io::{Read, Write};
        let addr = self.ready["metrics"].as_str().unwrap();
        let mut stream = std::net::TcpStream::connect(addr).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Looks until a metric has a value; the node's log is in the panic otherwise.
    pub(crate) fn wait_for_metric(&self, line: &str) {
        for _ in 0..2000 {
            if self.get("/metrics").1.lines().any(|found| found == line) {
                return;
            }
            std::thread::yield_now();
        }
        panic!("never saw {line:?} in\n{}", self.get("/metrics").1);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

impl Running {
    /// Asks over the admin socket; panics when the node refuses.
    pub(crate) fn ask(&self, request: &crs_admin_api::Request) -> crs_admin_api::Reply {
        use crs_admin_api::protocol::{ReplyBody, encode_request, parse_reply};
        use std::io::{BufRead, BufReader, Write};
        let path = self.ready["admin_socket"].as_str().unwrap();
        let mut stream = std::os::unix::net::UnixStream::connect(path).unwrap();
        stream.write_all(&encode_request(1, request).unwrap()).unwrap();
        let mut line = Vec::new();
        BufReader::new(stream).read_until(b'\n', &mut line).unwrap();
        let body = parse_reply(&line).unwrap().body;
        let ReplyBody::Done(reply) = body else { panic!("{body:?}") };
        reply
    }
}
