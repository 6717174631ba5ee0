//! What a connection's own tasks tell its actor.

use crs_proto::codec::RequestId;
use crs_proto::connection::Outcome;
use crs_proto::wire::ErrorBody;
use crs_proto::wire::call::CallState;
use crs_proto::wire::keys::UpdateOffer;
use tokio::sync::OwnedSemaphorePermit;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::io::Ended;
use crate::services::Waiting;

/// A message from the I/O task or from a request's task. The permit is the message's place in
/// the inbox.
#[derive(Debug)]
pub(super) enum Inner {
    /// A text frame came.
    Frame(Utf8Bytes, OwnedSemaphorePermit),
    /// A ping or pong came.
    Heard(OwnedSemaphorePermit),
    /// The time asked for has passed.
    Tick,
    /// A bulk frame has left: the next one may be made.
    BulkWritten,
    /// A request has its answer.
    Answered(Box<Answered>),
    /// Nothing more is read or written but the farewell.
    Ending(Ended),
    /// The farewell is over, too.
    Ended,
    /// A planted panic.
    #[cfg(test)]
    Panic,
}

/// The answer to a request.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) id: RequestId,
    pub(super) answer: Answer,
}

#[derive(Debug)]
pub(super) enum Answer {
    /// A finished frame.
    Frame { text: String, outcome: Outcome },
    /// A page of the mailbox as a finished frame, and whether more follows.
    Page { text: String, more: bool },
    /// The page could not be read: the finished error frame.
    NoPage { text: String },
    /// What an attach has to tell, or why it failed after all.
    Attached(Result<AttachAnswer, ErrorBody>),
}

#[derive(Debug)]
pub(super) struct AttachAnswer {
    pub(super) waiting: Waiting,
    pub(super) sessions: Vec<CallState>,
    pub(super) updates: Vec<UpdateOffer>,
}
