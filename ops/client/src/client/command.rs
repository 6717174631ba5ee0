//! What the handle asks of the client's task.

use crs_proto::codec::{Fields, Op};
use crs_proto::wire::call::CallState;
use crs_proto::wire::lookup::Found;
use crs_types::{MessageId, Period, SessionId, Uri};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::error::ClientError;
use crate::identity::Identity;

/// The server has confirmed a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Confirmed {
    /// The message.
    pub mid: MessageId,
    /// On how many nodes it is synced.
    pub copies: u64,
    /// True when the server had confirmed it before.
    pub duplicate: bool,
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, ClientError>>;

/// One command.
#[derive(Debug)]
pub(crate) enum Command {
    /// Take a message into the outbox.
    Send { to: Uri, body: Vec<u8>, reply: Reply<MessageId>, confirmed: Reply<Confirmed> },
    /// The application has dealt with an inbox entry.
    Done { seq: u64, reply: Reply<()> },
    /// Look a user up, keys verified.
    Lookup { uri: Uri, reply: Reply<Found> },
    /// Any request.
    Request { op: Box<Op>, reply: Reply<Fields> },
    /// Fetch and confirm key updates.
    Update { reply: Reply<Vec<Period>> },
    /// A state that came as a reply: the call learns of it like of an event.
    State(Box<CallState>),
    /// Send this session's states to a call; resume it after a reconnect.
    Watch { session: SessionId, states: mpsc::Sender<CallState> },
    /// The call has ended.
    Unwatch { session: SessionId },
    /// The offer of a ringing session and the keys to answer with.
    Ringing { session: SessionId, reply: Reply<CallState> },
    /// A copy of the identity, for signing.
    Identity { reply: Reply<Identity> },
    /// Close.
    Close { reply: oneshot::Sender<()> },
}
