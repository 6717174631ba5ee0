//! Parsing what a client sends.

use serde::de::DeserializeOwned;

use super::header::{self, HeaderError};
use super::op::{Op, OpName};
use super::{check, locate};
use crate::wire::{ErrorBody, ErrorCode};

/// A client's number for one of its requests: 0…2^53, repeated in the reply's `re`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A well-formed request within all limits of form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The client's number for it.
    pub id: RequestId,
    /// What to do.
    pub op: Op,
}

/// A frame that is not a request: answer `body` to `id`, or to nobody (`"re":null`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The request's id, when it could be read.
    pub id: Option<RequestId>,
    /// What to answer.
    pub body: ErrorBody,
}

/// Parses one text frame. The text is read twice (names first, then the op's fields) instead of
/// being buffered in between, so a large body is decoded exactly once, in place.
pub fn parse_request(text: &str) -> Result<Request, Refusal> {
    let header = header::read(text).map_err(|e| refuse_header(text, e))?;
    let id = header.id;
    let refuse = |code, text| Refusal { id: Some(id), body: ErrorBody::new(code, text) };
    let name = OpName::parse(&header.op).ok_or_else(|| {
        refuse(ErrorCode::UnknownOp, format!("unknown op {:?}", short(&header.op)))
    })?;
    let op = parse_op(name, text).map_err(|e| refuse(ErrorCode::Malformed, describe(text, &e)))?;
    check::check(&op).map_err(|body| Refusal { id: Some(id), body })?;
    Ok(Request { id, op })
}

fn refuse_header(text: &str, error: HeaderError) -> Refusal {
    let (id, why) = match error {
        HeaderError::Json { id, error } => (id, describe(text, &error)),
        HeaderError::NoId => (None, "field `id` is missing".to_owned()),
        HeaderError::NoOp { id } => (Some(id), "field `op` is missing".to_owned()),
    };
    Refusal { id, body: ErrorBody::new(ErrorCode::Malformed, why) }
}

fn parse_op(name: OpName, text: &str) -> Result<Op, serde_json::Error> {
    fn read<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
        serde_json::from_str(text)
    }
    Ok(match name {
        OpName::Attach => Op::Attach(read(text)?),
        OpName::Detach => Op::Detach(read(text)?),
        OpName::Bye => Op::Bye(read(text)?),
        OpName::Time => Op::Time(read(text)?),
        OpName::Lookup => Op::Lookup(read(text)?),
        OpName::Invite => Op::Invite(read(text)?),
        OpName::Ringing => Op::Ringing(read(text)?),
        OpName::Answer => Op::Answer(read(text)?),
        OpName::Hangup => Op::Hangup(read(text)?),
        OpName::Post => Op::Post(read(text)?),
        OpName::Fetch => Op::Fetch(read(text)?),
        OpName::Ack => Op::Ack(read(text)?),
        OpName::Alloc => Op::Alloc(read(text)?),
        OpName::Refresh => Op::Refresh(read(text)?),
        OpName::Free => Op::Free(read(text)?),
        OpName::UpdateGet => Op::UpdateGet(read(text)?),
        OpName::UpdateConfirm => Op::UpdateConfirm(read(text)?),
    })
}

/// One sentence that names the field: the parser's own text plus the top-level key it was at.
fn describe(text: &str, error: &serde_json::Error) -> String {
    let why = short(&error.to_string());
    match locate::key_at(text, error.line(), error.column()) {
        Some(key) if !why.contains("missing field") => format!("field `{}`: {why}", short(key)),
        _ => why,
    }
}

/// Error texts repeat at most a line of what came in.
fn short(text: &str) -> String {
    text.chars().take(160).collect()
}
