//! A node made of a closure: answers each request frame with the lines it returns.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crs_admin_api::protocol::{self, ReplyBody, ReplyFrame, RequestFrame};
use crs_admin_api::{AdminError, Reply, Request};

/// A socket in a fresh directory, and the thread behind it.
pub(crate) struct FakeNode {
    directory: tempfile::TempDir,
}

impl FakeNode {
    /// Answers every request with the bytes that `answer` makes of it.
    pub(crate) fn raw(answer: impl Fn(&RequestFrame) -> Vec<u8> + Send + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("crs.sock")).unwrap();
        // Ends with the test process; one test has one node and few connections.
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                serve(stream, &answer);
            }
        });
        Self { directory }
    }

    /// Answers every request with one reply or error; signs of life, which `doctor` asks for first,
    /// by itself.
    pub(crate) fn new(
        answer: impl Fn(&Request) -> Result<Reply, AdminError> + Send + 'static,
    ) -> Self {
        let alive = |request: &Request| {
            let asked = matches!(request, Request::ShowVersion(_));
            asked.then(|| Reply::ShowVersion(Vec::new()))
        };
        Self::raw(move |frame| match alive(&frame.req).map_or_else(|| answer(&frame.req), Ok) {
            Ok(reply) => {
                let mut parts = reply.into_parts();
                let last = parts.pop().unwrap();
                let mut bytes: Vec<u8> = parts
                    .into_iter()
                    .flat_map(|part| encode(frame.id, ReplyBody::Part(part)))
                    .collect();
                bytes.extend(encode(frame.id, ReplyBody::Done(last)));
                bytes
            }
            Err(error) => encode(frame.id, ReplyBody::Err(error)),
        })
    }

    /// The socket's path.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("crs.sock")
    }

    /// Runs `crs-cli` with these words against this node.
    pub(crate) fn run(&self, line: &str) -> Output {
        run_at(&self.socket(), line)
    }
}

/// Runs `crs-cli` with these words and a socket.
pub(crate) fn run_at(socket: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_crs-cli"))
        .args(line.split_whitespace())
        .env("CRS_SOCKET", socket)
        .env_remove("NO_COLOR")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap()
}

/// A reply line.
pub(crate) fn encode(id: u64, body: ReplyBody) -> Vec<u8> {
    protocol::encode_reply(&ReplyFrame { id, body }).unwrap()
}

/// Standard output as text.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Standard error as text.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn serve(mut stream: UnixStream, answer: &impl Fn(&RequestFrame) -> Vec<u8>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let frame = protocol::parse_request(&line).unwrap();
        if stream.write_all(&answer(&frame)).is_err() {
            return;
        }
        line.clear();
    }
}
