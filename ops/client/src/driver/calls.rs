//! Calls: routes `call.state` to the calls of this client and keeps those that ring.

use std::collections::{BTreeMap, VecDeque};

use crs_keys::call::Offer;
use crs_proto::wire::call::{CallState, HangupReason, SessionState, Who};
use crs_proto::wire::relay::RelayKind;
use crs_types::{SessionId, Uri};
use tokio::sync::mpsc;

use super::Driver;
use crate::error::ClientError;
use crate::event::Event;

/// Calls that may ring here at once; more are left to the server's timer.
const RINGING_MAX: usize = 16;

/// Sessions that are over, remembered: a state that comes late, or again, does not ring.
const OVER_MAX: usize = 64;

/// A call that rings here. Its offer is verified: nothing rings before.
#[derive(Debug, Clone)]
pub(crate) struct RingingCall {
    /// The caller.
    pub(crate) from: Uri,
    /// What it offers.
    pub(crate) offer: Offer,
}

/// The calls of a client.
#[derive(Debug, Default)]
pub(super) struct Calls {
    watched: BTreeMap<SessionId, mpsc::Sender<CallState>>,
    ringing: BTreeMap<SessionId, RingingCall>,
    /// Calls whose offer may turn out good once a key update has come.
    unsure: BTreeMap<SessionId, CallState>,
    over: VecDeque<SessionId>,
}

impl Calls {
    pub(super) fn watch(&mut self, session: SessionId, states: mpsc::Sender<CallState>) {
        self.watched.insert(session, states);
    }

    pub(super) fn unwatch(&mut self, session: SessionId) {
        self.watched.remove(&session);
        self.ringing.remove(&session);
        self.note_end(session);
    }

    fn note_end(&mut self, session: SessionId) {
        if self.over.len() >= OVER_MAX {
            self.over.pop_front();
        }
        self.over.push_back(session);
    }

    /// The sessions of calls that were placed or answered here.
    pub(super) fn watched(&self) -> impl Iterator<Item = SessionId> {
        self.watched.keys().copied()
    }

    /// A call is under way.
    pub(super) fn any(&self) -> bool {
        !self.watched.is_empty()
    }

    /// Gives a state to the call that watches its session; the state comes back when none does.
    fn deliver(&self, state: CallState) -> Option<CallState> {
        let Some(states) = self.watched.get(&state.session) else { return Some(state) };
        // A call that does not read its states any more has ended.
        let _ = states.try_send(state);
        None
    }

    /// True when a further call may ring: it is not one of those that do or did, nor one too many.
    pub(super) fn may_ring(&self, session: SessionId) -> bool {
        let calls = self.ringing.len() + self.unsure.len();
        !self.ringing.contains_key(&session)
            && !self.over.contains(&session)
            && (calls < RINGING_MAX || self.unsure.contains_key(&session))
    }

    /// Notes a call that begins to ring here.
    pub(super) fn rings(&mut self, session: SessionId, call: RingingCall) {
        self.unsure.remove(&session);
        self.ringing.insert(session, call);
    }

    /// Keeps a call to look at again when the key update that is under way has come.
    pub(super) fn set_aside(&mut self, state: CallState) {
        self.unsure.insert(state.session, state);
    }

    /// The calls that were set aside.
    pub(super) fn take_unsure(&mut self) -> Vec<CallState> {
        std::mem::take(&mut self.unsure).into_values().collect()
    }

    /// Sessions to resume after a reconnect.
    pub(super) fn sessions(&self) -> Vec<SessionId> {
        let ringing = self.ringing.keys().filter(|s| !self.watched.contains_key(s));
        self.watched.keys().chain(ringing).copied().collect()
    }

    pub(super) fn ringing(&self, session: SessionId) -> Result<RingingCall, ClientError> {
        let why = || ClientError::Protocol(format!("session {session} does not ring here"));
        self.ringing.get(&session).cloned().ok_or_else(why)
    }
}

impl Driver {
    /// Ends every call that somebody watches or that rings here: the server has ended this
    /// client's registration for good and will not tell.
    pub(super) fn end_calls(&mut self, reason: HangupReason) {
        for session in self.calls.sessions() {
            let state = self.ended(session, reason);
            self.call_state(state);
        }
    }

    /// Whoever watches knows the parties; of this state it is the end that counts.
    fn ended(&self, session: SessionId, reason: HangupReason) -> CallState {
        let own = self.profile.identity();
        CallState {
            session,
            state: SessionState::Hangup,
            from: own.uri.clone(),
            from_account: own.account.clone(),
            to: own.uri.clone(),
            offer: None,
            answer: None,
            device: None,
            media: RelayKind::Rtp,
            reason: Some(reason),
            who: Some(Who::Crs),
            detail: None,
            stage: None,
        }
    }

    pub(super) fn call_state(&mut self, state: CallState) {
        let Some(state) = self.calls.deliver(state) else { return };
        let session = state.session;
        match state.state {
            SessionState::Invite | SessionState::Ringing if state.offer.is_some() => {
                self.announce(state);
            }
            SessionState::Invite | SessionState::Ringing | SessionState::Talk => {}
            SessionState::Hangup
            | SessionState::ResponderNotFound
            | SessionState::ResponderNotConnected => {
                self.calls.note_end(session);
                self.calls.unsure.remove(&session);
                if self.calls.ringing.remove(&session).is_some() {
                    self.tell(Event::CallEnded { session, reason: state.reason });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::STATES_MAX;
    use crate::fixture::{Callers, session};

    #[test]
    fn calls_that_ring_beyond_the_limit_are_left_to_the_server() {
        let callers = Callers::new();
        let call = || RingingCall { from: callers.uri(1), offer: callers.opened(session(0)) };
        let mut calls = Calls::default();
        for n in 0..RINGING_MAX - 1 {
            assert!(calls.may_ring(session(n)));
            calls.rings(session(n), call());
        }
        assert!(!calls.may_ring(session(0)), "it rings already");
        // One that waits for keys takes a place as well.
        let (unsure, further) = (session(RINGING_MAX - 1), session(RINGING_MAX));
        calls.set_aside(callers.invite(unsure));
        assert!(!calls.may_ring(further));
        assert!(calls.may_ring(unsure), "its keys have come");
        calls.rings(unsure, call());
        assert!(!calls.may_ring(further));
        assert!(calls.ringing(further).is_err());
        assert_eq!(calls.sessions().len(), RINGING_MAX);
        calls.unwatch(session(3));
        assert!(calls.may_ring(further), "a place has become free");
    }

    #[test]
    fn a_call_that_is_over_does_not_ring_again_as_far_as_is_remembered() {
        let mut calls = Calls::default();
        calls.unwatch(session(0));
        assert!(!calls.may_ring(session(0)), "a state that came late, or an offer played back");
        for n in 1..OVER_MAX {
            calls.note_end(session(n));
        }
        assert!(!calls.may_ring(session(0)));
        calls.note_end(session(OVER_MAX));
        assert_eq!(calls.over.len(), OVER_MAX);
        assert!(calls.may_ring(session(0)), "the oldest is forgotten");
    }

    #[test]
    fn states_beyond_what_a_call_may_leave_unread_are_dropped() {
        let callers = Callers::new();
        let state = |n| callers.invite(session(n));
        let mut calls = Calls::default();
        let (sender, mut states) = mpsc::channel(STATES_MAX);
        calls.watch(session(0), sender);
        assert!(calls.deliver(state(1)).is_some(), "nobody watches that one");
        for _ in 0..STATES_MAX + 3 {
            assert!(calls.deliver(state(0)).is_none());
        }
        let read = std::iter::from_fn(|| states.try_recv().ok()).count();
        assert_eq!(read, STATES_MAX);
        assert!(calls.deliver(state(0)).is_none());
        assert!(states.try_recv().is_ok(), "one that reads again hears what is new");
    }
}
