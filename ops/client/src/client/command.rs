//! What the handle asks of the client's task.

use crs_proto::codec::{Fields, Op};
use crs_proto::wire::call::CallState;
use crs_proto::wire::lookup::Found;
use crs_types::{AccountId, MessageId, Period, SessionId, Uri};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::driver::RingingCall;
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

/// A number of copies, for people: `1 copy`, `2 copies`.
pub fn copies_text(number: u64) -> String {
    if number == 1 { "1 copy".to_owned() } else { format!("{number} copies") }
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
    /// The accounts that users are known by.
    Contacts { reply: Reply<Vec<(Uri, AccountId)>> },
    /// A person accepts a contact's account.
    Accept { uri: Uri, account: AccountId, reply: Reply<()> },
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
    /// The verified offer of a ringing session.
    Ringing { session: SessionId, reply: Reply<RingingCall> },
    /// A copy of the identity, for signing.
    Identity { reply: Reply<Identity> },
    /// Close.
    Close { reply: oneshot::Sender<()> },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_copy_is_no_plural() {
        assert_eq!([0, 1, 2].map(copies_text), ["0 copies", "1 copy", "2 copies"]);
    }
}
