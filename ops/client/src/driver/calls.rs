//! Calls: routes `call.state` to the calls of this client and announces new ones.

use std::collections::BTreeMap;

use crs_proto::codec::Op;
use crs_proto::wire::call::{CallState, Ringing, SessionState};
use crs_types::SessionId;
use tokio::sync::mpsc;

use super::Driver;
use super::requests::Pending;
use crate::error::ClientError;
use crate::event::{Event, IncomingCall};

/// Calls that may ring here at once; more are left to the server's timer.
const RINGING_MAX: usize = 16;

/// The calls of a client.
#[derive(Debug, Default)]
pub(super) struct Calls {
    watched: BTreeMap<SessionId, mpsc::Sender<CallState>>,
    ringing: BTreeMap<SessionId, CallState>,
}

impl Calls {
    pub(super) fn watch(&mut self, session: SessionId, states: mpsc::Sender<CallState>) {
        self.watched.insert(session, states);
    }

    pub(super) fn unwatch(&mut self, session: SessionId) {
        self.watched.remove(&session);
        self.ringing.remove(&session);
    }

    /// Sessions to resume after a reconnect.
    pub(super) fn sessions(&self) -> Vec<SessionId> {
        let ringing = self.ringing.keys().filter(|s| !self.watched.contains_key(s));
        self.watched.keys().chain(ringing).copied().collect()
    }

    pub(super) fn ringing(&self, session: SessionId) -> Result<CallState, ClientError> {
        let why = || ClientError::Protocol(format!("session {session} does not ring here"));
        self.ringing.get(&session).cloned().ok_or_else(why)
    }
}

impl Driver {
    pub(super) fn call_state(&mut self, state: CallState) {
        let session = state.session;
        if let Some(states) = self.calls.watched.get(&session) {
            // A call that does not read its states any more has ended.
            let _ = states.try_send(state);
            return;
        }
        match state.state {
            SessionState::Invite | SessionState::Ringing if state.offer.is_some() => {
                self.announce(state);
            }
            SessionState::Invite | SessionState::Ringing | SessionState::Talk => {}
            SessionState::Hangup
            | SessionState::ResponderNotFound
            | SessionState::ResponderNotConnected => {
                if self.calls.ringing.remove(&session).is_some() {
                    self.tell(Event::CallEnded { session, reason: state.reason });
                }
            }
        }
    }

    fn announce(&mut self, state: CallState) {
        let session = state.session;
        let known = self.calls.ringing.contains_key(&session);
        if known || self.calls.ringing.len() >= RINGING_MAX {
            return;
        }
        let incoming =
            IncomingCall { session, from: state.from.clone(), account: state.from_account.clone() };
        self.calls.ringing.insert(session, state);
        self.requests.push(Op::Ringing(Ringing { session }), Pending::Ignored);
        self.tell(Event::Incoming(incoming));
    }
}
