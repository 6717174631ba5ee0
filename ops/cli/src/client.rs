//! The connection to a node: one request at a time over its Unix socket, every wait bounded.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crs_admin_api::protocol::{self, LINE_MAX, ReplyBody};
use crs_admin_api::{AdminError, Code, Reply, Request, TraceItem};

/// How long most commands may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// A connected admin socket.
#[derive(Debug)]
pub(crate) struct Client {
    reader: BufReader<UnixStream>,
    socket: String,
    last_id: u64,
}

/// What a wait for a trace event came to.
#[derive(Debug)]
pub(crate) enum Next {
    /// An event.
    Item(Box<TraceItem>),
    /// Nothing happened in the time given.
    Nothing,
}

impl Client {
    /// Connects. Fails at once when nobody listens or this user may not.
    pub(crate) fn connect(socket: &Path) -> Result<Self, AdminError> {
        let name = socket.display().to_string();
        let stream = UnixStream::connect(socket).map_err(|error| unreachable(&name, &error))?;
        let bounded = stream.set_write_timeout(Some(PATIENCE));
        bounded.map_err(|error| unreachable(&name, &error))?;
        Ok(Self { reader: BufReader::new(stream), socket: name, last_id: 0 })
    }

    /// Asks and waits for the whole answer, at most `patience` between two of its lines.
    pub(crate) fn ask(&mut self, req: &Request, patience: Duration) -> Result<Reply, AdminError> {
        self.send(req)?;
        let mut whole: Option<Reply> = None;
        loop {
            let (part, last) = match self.receive(patience)? {
                Some(ReplyBody::Part(reply)) => (reply, false),
                Some(ReplyBody::Done(reply)) => (reply, true),
                Some(ReplyBody::Err(error)) => return Err(error),
                Some(ReplyBody::Item(_)) => return Err(unexpected(req)),
                None => return Err(timed_out(req, patience)),
            };
            let reply = match whole.take() {
                None => part,
                Some(mut reply) => {
                    reply.absorb(part).map_err(|_| unexpected(req))?;
                    reply
                }
            };
            if last {
                return if reply.name() == req.name() { Ok(reply) } else { Err(unexpected(req)) };
            }
            whole = Some(reply);
        }
    }

    /// Waits for the next event of a trace, at most `patience`.
    pub(crate) fn next_item(&mut self, patience: Duration) -> Result<Next, AdminError> {
        match self.receive(patience)? {
            Some(ReplyBody::Item(item)) => Ok(Next::Item(Box::new(item))),
            Some(ReplyBody::Err(error)) => Err(error),
            Some(ReplyBody::Part(_) | ReplyBody::Done(_)) => {
                Err(AdminError::new(Code::Malformed, "the node sent a reply inside a trace"))
            }
            None => Ok(Next::Nothing),
        }
    }

    fn send(&mut self, req: &Request) -> Result<(), AdminError> {
        self.last_id += 1;
        let line = protocol::encode_request(self.last_id, req)?;
        let sent = self.reader.get_mut().write_all(&line);
        match sent {
            // A node that refuses the connection says why before it closes; that is read next.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(self.lost(&error)),
            Err(_) | Ok(()) => Ok(()),
        }
    }

    /// `None` when nothing came in time.
    fn receive(&mut self, patience: Duration) -> Result<Option<ReplyBody>, AdminError> {
        let wait = patience.max(Duration::from_millis(1));
        let set = self.reader.get_ref().set_read_timeout(Some(wait));
        set.map_err(|error| self.lost(&error))?;
        // Wait for the first byte alone, so that a timeout never tears a line apart.
        match self.reader.fill_buf() {
            Ok([]) => return Err(self.closed()),
            Ok(_) => {}
            Err(error) if is_timeout(&error) => return Ok(None),
            Err(error) => return Err(self.lost(&error)),
        }
        let set = self.reader.get_ref().set_read_timeout(Some(PATIENCE));
        set.map_err(|error| self.lost(&error))?;
        let mut line = Vec::new();
        let limit = LINE_MAX as u64 + 1;
        let read = (&mut self.reader).take(limit).read_until(b'\n', &mut line);
        read.map_err(|error| self.lost(&error))?;
        if line.pop() != Some(b'\n') {
            return Err(if line.len() >= LINE_MAX { protocol::too_long() } else { self.closed() });
        }
        let frame = protocol::parse_reply(&line)?;
        if frame.id != self.last_id && frame.id != 0 {
            let message =
                format!("expected the answer to request {}, got {}", self.last_id, frame.id);
            return Err(AdminError::new(Code::Malformed, message));
        }
        Ok(Some(frame.body))
    }

    fn lost(&self, error: &io::Error) -> AdminError {
        if is_timeout(error) {
            let message = format!("the node at {} does not read or answer", self.socket);
            return AdminError::new(Code::Timeout, message);
        }
        let message = format!("the connection to the node at {} broke: {error}", self.socket);
        AdminError::new(Code::NodeDown, message)
    }

    fn closed(&self) -> AdminError {
        let message = format!("the node at {} closed the connection; is it stopping?", self.socket);
        AdminError::new(Code::NodeDown, message)
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the enum is the standard library's and grows")]
fn unreachable(socket: &str, error: &io::Error) -> AdminError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let message = format!("this user may not talk to the node at {socket}");
            AdminError::new(Code::NoPermission, message)
        }
        io::ErrorKind::NotFound => {
            AdminError::new(Code::NodeDown, format!("no node is running: {socket} does not exist"))
        }
        io::ErrorKind::ConnectionRefused => {
            AdminError::new(Code::NodeDown, format!("no node is running behind {socket}"))
        }
        _ => AdminError::new(Code::NodeDown, format!("no node is reached at {socket}: {error}")),
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn timed_out(req: &Request, patience: Duration) -> AdminError {
    let message = format!("the node did not answer \"{}\" in {patience:?}", req.name());
    AdminError::new(Code::Timeout, message)
}

fn unexpected(req: &Request) -> AdminError {
    let message = format!("the node answered \"{}\" with something else", req.name());
    AdminError::new(Code::Malformed, message)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use crs_admin_api::command::show_system;

    use super::*;

    /// The kernel connects; nobody ever reads or answers.
    #[test]
    fn a_node_that_does_not_answer_is_given_up_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("crs.sock");
        let _mute = UnixListener::bind(&socket).unwrap();
        let mut client = Client::connect(&socket).unwrap();
        // What every write and every line after its first byte may take.
        let stream = client.reader.get_ref();
        assert_eq!(stream.write_timeout().unwrap(), Some(PATIENCE));
        let request = Request::ShowSystem(show_system::Request {});
        let late = client.ask(&request, Duration::from_millis(50)).unwrap_err();
        assert_eq!(late.code, "timeout");
        assert_eq!(late.message, "the node did not answer \"show system\" in 50ms");
    }
}
