//! Which events a trace shows.

use crs_types::{AccountId, Uri};

use super::{MessageTrack, TraceEvent, TraceUser};

/// The element of a trace, as in `crs-cli trace <element>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Registrations.
    Attach,
    /// Calls.
    Session,
    /// Messages.
    Message,
    /// Connections.
    Connection,
    /// Debug events.
    Event,
    /// Everything about one URI of one account (C-383).
    Client {
        /// The account.
        account: AccountId,
        /// The number.
        uri: Uri,
    },
}

impl Filter {
    /// True when the trace shows this event.
    pub fn matches(&self, event: &TraceEvent) -> bool {
        match self {
            Self::Attach => matches!(event, TraceEvent::Attach(_)),
            Self::Session => matches!(event, TraceEvent::Session(_)),
            Self::Message => matches!(event, TraceEvent::Message(_)),
            Self::Connection => matches!(event, TraceEvent::Connection(_)),
            Self::Event => matches!(event, TraceEvent::Event(_)),
            Self::Client { account, uri } => about(event, account, uri),
        }
    }
}

/// A message event names the receiver's account only; of its sender just the number is known, and
/// showing one event too many is better than missing one.
fn about(event: &TraceEvent, account: &AccountId, uri: &Uri) -> bool {
    match event {
        TraceEvent::Attach(e) => e.uri == *uri && e.account == *account,
        TraceEvent::Session(e) => (e.caller == *uri || e.callee == *uri) && e.account == *account,
        TraceEvent::Message(e) => {
            let receiver = match &e.account {
                MessageTrack::Account(receiver) => receiver == account,
                MessageTrack::Internal | MessageTrack::External => true,
            };
            e.from == *uri || (e.to == *uri && receiver)
        }
        TraceEvent::Connection(e) => match &e.user {
            TraceUser::Client { uri: u, account: a } => u == uri && a == account,
            TraceUser::Unknown | TraceUser::Admin { .. } => false,
        },
        TraceEvent::Object(e) => e.from == *uri && e.account == *account,
        TraceEvent::Statistics(e) => e.uri == *uri && e.account == *account,
        TraceEvent::Event(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use crs_types::{MessageId, Timestamp};

    use super::*;
    use crate::trace::{MessageEvent, MessageState};

    fn uri(n: u32) -> Uri {
        Uri::parse(&format!("+4670{n:07}")).unwrap()
    }

    fn client(account: &str, n: u32) -> Filter {
        Filter::Client { account: AccountId::parse(account).unwrap(), uri: uri(n) }
    }

    fn message(from: u32, to: u32, account: &str) -> TraceEvent {
        TraceEvent::Message(MessageEvent {
            time: Timestamp::from_millis(0),
            from: uri(from),
            to: uri(to),
            state: MessageState::PostedContent,
            account: MessageTrack::Account(AccountId::parse(account).unwrap()),
            id: MessageId::from_parts(Timestamp::from_millis(0), [0; 10]),
        })
    }

    #[test]
    fn a_client_trace_shows_what_it_sends_and_gets() {
        assert!(client("a", 1).matches(&message(1, 2, "a")));
        assert!(client("a", 2).matches(&message(1, 2, "a")));
        assert!(!client("b", 2).matches(&message(1, 2, "a")));
        assert!(!client("a", 3).matches(&message(1, 2, "a")));
        assert!(Filter::Message.matches(&message(1, 2, "a")));
        assert!(!Filter::Attach.matches(&message(1, 2, "a")));
    }
}
