//! Frames of the admin protocol: one JSON object a line, each with its version.
//!
//! A request is `{"v":1,"id":7,"req":{"cmd":"show attach","args":{}}}`. It is answered by any
//! number of `{"v":1,"id":7,"part":…}` and one `{"v":1,"id":7,"done":…}`, or by
//! `{"v":1,"id":7,"err":{"code":…,"message":…,"hint":…,"exit":…}}`. After the `done` of a trace,
//! `{"v":1,"id":7,"item":…}` frames follow until the connection ends. A line that names no id is
//! answered with id 0.

use serde::{Deserialize, Serialize};

use crate::error::{AdminError, Code};
use crate::{Reply, Request, TraceItem};

/// The version both ends speak. A frame of a newer one is refused by name.
pub const PROTOCOL_VERSION: u32 = 1;
/// Longest line in bytes, in either direction, without its line feed.
pub const LINE_MAX: usize = 1024 * 1024;

/// A request on the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestFrame {
    /// [`PROTOCOL_VERSION`].
    pub v: u32,
    /// Chosen by the CLI, repeated in every answer.
    pub id: u64,
    /// What is asked.
    pub req: Request,
}

/// What a reply frame carries.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplyBody {
    /// The first rows of a long reply; more follow.
    Part(Reply),
    /// The reply, or its last rows.
    Done(Reply),
    /// One event of a trace.
    Item(TraceItem),
    /// The request failed.
    Err(AdminError),
}

/// An answer on the wire.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplyFrame {
    /// The request's id.
    pub id: u64,
    /// The answer.
    pub body: ReplyBody,
}

/// Encodes a request as one line with its line feed.
pub fn encode_request(id: u64, req: &Request) -> Result<Vec<u8>, AdminError> {
    #[derive(Serialize)]
    struct Frame<'a> {
        v: u32,
        id: u64,
        req: &'a Request,
    }
    line(&Frame { v: PROTOCOL_VERSION, id, req })
}

/// Parses a request line (without its line feed). The id is 0 when none could be read.
pub fn parse_request(bytes: &[u8]) -> Result<RequestFrame, (u64, AdminError)> {
    let head = head(bytes).map_err(|error| (0, error))?;
    let fail = |error| (head.id, error);
    check_version(head.v, "the request", "this node").map_err(fail)?;
    if let Some(cmd) = head.req.map(|req| req.cmd)
        && !crate::COMMANDS.iter().any(|(name, ..)| *name == cmd)
    {
        let message = format!("this node knows no command \"{}\"", shortened(&cmd));
        return Err(fail(AdminError::new(Code::UnknownCommand, message)));
    }
    serde_json::from_slice(bytes).map_err(|error| fail(malformed(&error)))
}

/// Encodes a reply as one line with its line feed.
pub fn encode_reply(frame: &ReplyFrame) -> Result<Vec<u8>, AdminError> {
    let (part, done, item, err) = match &frame.body {
        ReplyBody::Part(reply) => (Some(reply), None, None, None),
        ReplyBody::Done(reply) => (None, Some(reply), None, None),
        ReplyBody::Item(item) => (None, None, Some(item), None),
        ReplyBody::Err(error) => (None, None, None, Some(error)),
    };
    line(&Outgoing { v: PROTOCOL_VERSION, id: frame.id, part, done, item, err })
}

/// Parses a reply line (without its line feed).
pub fn parse_reply(bytes: &[u8]) -> Result<ReplyFrame, AdminError> {
    #[derive(Deserialize)]
    struct Incoming {
        id: u64,
        part: Option<Reply>,
        done: Option<Reply>,
        item: Option<TraceItem>,
        err: Option<AdminError>,
    }
    let head = head(bytes)?;
    check_version(head.v, "the node's reply", "this crs-cli")?;
    let frame: Incoming = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
    let body = match (frame.part, frame.done, frame.item, frame.err) {
        (Some(reply), None, None, None) => ReplyBody::Part(reply),
        (None, Some(reply), None, None) => ReplyBody::Done(reply),
        (None, None, Some(item), None) => ReplyBody::Item(item),
        (None, None, None, Some(error)) => ReplyBody::Err(error),
        (..) => {
            let message = "expected one of part, done, item, err in the node's reply";
            return Err(AdminError::new(Code::Malformed, message));
        }
    };
    Ok(ReplyFrame { id: frame.id, body })
}

/// The error for a line longer than [`LINE_MAX`].
pub fn too_long() -> AdminError {
    let message = format!("a line of the admin protocol has at most {LINE_MAX} bytes");
    AdminError::new(Code::TooLong, message)
}

#[derive(Serialize)]
struct Outgoing<'a> {
    v: u32,
    id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<&'a Reply>,
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<&'a Reply>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<&'a TraceItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    err: Option<&'a AdminError>,
}

/// What every version of the protocol has in common.
#[derive(Deserialize)]
struct Head {
    v: u32,
    #[serde(default)]
    id: u64,
    req: Option<Cmd>,
}

#[derive(Deserialize)]
struct Cmd {
    cmd: String,
}

fn head(bytes: &[u8]) -> Result<Head, AdminError> {
    if bytes.len() > LINE_MAX {
        return Err(too_long());
    }
    serde_json::from_slice(bytes).map_err(|error| malformed(&error))
}

fn check_version(found: u32, what: &str, who: &str) -> Result<(), AdminError> {
    if found == PROTOCOL_VERSION {
        return Ok(());
    }
    let message = format!(
        "{what} is of admin protocol version {found}, {who} speaks version {PROTOCOL_VERSION}"
    );
    Err(AdminError::new(Code::VersionMismatch, message))
}

/// serde's text repeats at most a value's worth of the input; it is cut to be sure.
fn malformed(error: &serde_json::Error) -> AdminError {
    let text = shortened(&error.to_string());
    AdminError::new(Code::Malformed, format!("not a line of the admin protocol: {text}"))
}

fn shortened(text: &str) -> String {
    text.chars().take(160).filter(|c| !c.is_control()).collect()
}

fn line<T: Serialize>(value: &T) -> Result<Vec<u8>, AdminError> {
    let mut bytes = serde_json::to_vec(value).map_err(|error| {
        AdminError::new(Code::Internal, format!("a frame cannot be encoded: {error}"))
    })?;
    if bytes.len() > LINE_MAX {
        return Err(too_long());
    }
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests;
