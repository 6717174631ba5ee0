//! Requests and their replies on one connection: at most 30 under way, the rest waits in order.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crs_proto::codec::{Fields, Op, RequestId, encode_request};
use crs_types::{MessageId, Mono, Period, Uri};

use crate::client::command::Reply;
use crate::error::ClientError;

/// Requests under way; the server takes 32.
pub(super) const IN_FLIGHT_MAX: usize = 30;
/// A connection on which a request is not answered for this long is given up.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Who waits for a reply.
pub(super) enum Pending {
    Attach,
    Fetch,
    Ack,
    Post(MessageId),
    Lookup(Uri),
    UpdateGet(Period),
    UpdateConfirm(Period),
    Ignored,
    Application(Reply<Fields>),
}

/// The table.
#[derive(Default)]
pub(super) struct Requests {
    next: u64,
    waiting: VecDeque<(Box<Op>, Pending)>,
    in_flight: BTreeMap<u64, (Mono, Pending)>,
}

impl Requests {
    pub(super) fn push(&mut self, op: Op, pending: Pending) {
        self.waiting.push_back((Box::new(op), pending));
    }

    /// The next frame to write, if one may be under way more.
    pub(super) fn next_frame(&mut self, now: Mono) -> Option<String> {
        if self.in_flight.len() >= IN_FLIGHT_MAX {
            return None;
        }
        let (op, pending) = self.waiting.pop_front()?;
        self.next += 1;
        self.in_flight.insert(self.next, (now.plus(ANSWER_MAX), pending));
        Some(encode_request(RequestId(self.next), &op))
    }

    /// Who waits for this reply.
    pub(super) fn take(&mut self, re: RequestId) -> Option<Pending> {
        self.in_flight.remove(&re.0).map(|(_, pending)| pending)
    }

    /// When the oldest request has waited too long.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.in_flight.values().map(|(at, _)| *at).min()
    }

    pub(super) fn expired(&self, now: Mono) -> bool {
        self.deadline().is_some_and(|at| now >= at)
    }

    /// True when a lookup of this user is under way or waits.
    pub(super) fn looks_up(&self, uri: &Uri) -> bool {
        let this = |pending: &Pending| matches!(pending, Pending::Lookup(u) if u == uri);
        self.waiting.iter().any(|(_, p)| this(p)) || self.in_flight.values().any(|(_, p)| this(p))
    }

    /// The connection is gone: applications are told, the cores repeat by themselves.
    pub(super) fn clear(&mut self) {
        let waiting = std::mem::take(&mut self.waiting).into_iter().map(|(_, p)| p);
        let flying = std::mem::take(&mut self.in_flight).into_values().map(|(_, p)| p);
        for pending in waiting.chain(flying) {
            if let Pending::Application(reply) = pending {
                let _ = reply.send(Err(ClientError::Disconnected));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crs_proto::wire::life::TimeRequest;

    use super::*;

    #[test]
    fn requests_under_way_are_limited_in_number_and_time() {
        let mut requests = Requests::default();
        let now = Mono::from_micros(1);
        for _ in 0..IN_FLIGHT_MAX + 2 {
            requests.push(Op::Time(TimeRequest {}), Pending::Ignored);
        }
        let sent = (0..100).filter(|_| requests.next_frame(now).is_some()).count();
        assert_eq!(sent, IN_FLIGHT_MAX);
        assert!(requests.take(RequestId(1)).is_some());
        let later = now.plus(Duration::from_secs(1));
        assert!(requests.next_frame(later).is_some());
        assert!(requests.next_frame(later).is_none());
        assert!(!requests.expired(now.plus(ANSWER_MAX - Duration::from_millis(1))));
        assert!(requests.expired(now.plus(ANSWER_MAX)));
    }
}
