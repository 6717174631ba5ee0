//! Parsing what the server sends: the client's side.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::op::Event;
use super::request::RequestId;
use crate::wire::ErrorBody;

/// A frame from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerFrame {
    /// The reply to a request; `re` is absent when the server could not read the request's id.
    Reply {
        /// The request.
        re: Option<RequestId>,
        /// Its outcome.
        result: Result<Fields, ErrorBody>,
    },
    /// An event.
    Event {
        /// Counts the events of this connection from 1.
        seq: u64,
        /// The event.
        event: Event,
    },
    /// An event that this version does not know: to be ignored.
    UnknownEvent {
        /// Counts the events of this connection from 1.
        seq: u64,
        /// Its name.
        name: String,
    },
}

/// The fields of a successful reply, not parsed yet: the client knows which type it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields(String);

impl Fields {
    /// The fields as the reply type of the request.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, FrameError> {
        serde_json::from_str(&self.0).map_err(FrameError::from)
    }
}

/// A frame of the server is not `crs.v1`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a frame of crs.v1: {0}")]
pub struct FrameError(String);

impl From<serde_json::Error> for FrameError {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

/// Parses one text frame of the server.
pub fn parse_server_frame(text: &str) -> Result<ServerFrame, FrameError> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(default)]
        re: Option<u64>,
        ok: Option<bool>,
        err: Option<ErrorBody>,
        ev: Option<String>,
        seq: Option<u64>,
    }
    let head: Head = serde_json::from_str(text)?;
    match head {
        Head { ev: Some(name), seq, .. } => {
            let seq = seq.ok_or_else(|| FrameError("an event without `seq`".to_owned()))?;
            parse_event(&name, seq, text)
        }
        Head { re, ok: Some(true), .. } => {
            Ok(ServerFrame::Reply { re: re.map(RequestId), result: Ok(Fields(text.to_owned())) })
        }
        Head { re, ok: Some(false), err: Some(err), .. } => {
            Ok(ServerFrame::Reply { re: re.map(RequestId), result: Err(err) })
        }
        Head { .. } => Err(FrameError("neither a reply nor an event".to_owned())),
    }
}

fn parse_event(name: &str, seq: u64, text: &str) -> Result<ServerFrame, FrameError> {
    let event = match name {
        "welcome" => Event::Welcome(serde_json::from_str(text)?),
        "unregistered" => Event::Unregistered(serde_json::from_str(text)?),
        "call.state" => Event::CallState(serde_json::from_str(text)?),
        "msg.new" => Event::MessageNew(serde_json::from_str(text)?),
        "msg.acked" => Event::MessageAcked(serde_json::from_str(text)?),
        "upd.offer" => Event::UpdateOffer(serde_json::from_str(text)?),
        unknown => return Ok(ServerFrame::UnknownEvent { seq, name: unknown.to_owned() }),
    };
    Ok(ServerFrame::Event { seq, event })
}
