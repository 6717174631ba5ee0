//! The state of a session and its entry points.

use crs_types::{ConnectionId, DeviceId, Mono, SessionId, Timestamp};

use super::types::{
    CallReply, CallRequest, Callee, Effect, End, Endpoint, Input, Parties, Refused, ReplyTag,
    SessionConfig, Side, Summary,
};
use super::{DetailWord, media::Relay};
use crate::connection::Now;
use crate::wire::call::{HangupReason, Invite, SessionState, Stage, Who};
use crate::wire::relay::RelayKind;
use crate::wire::{Bytes64, ErrorBody, ErrorCode};

/// One session.
#[derive(Debug)]
pub struct Session {
    pub(super) id: SessionId,
    pub(super) parties: Parties,
    pub(super) media: RelayKind,
    pub(super) since: Timestamp,
    pub(super) offer: Bytes64,
    pub(super) caller: Presence,
    pub(super) branches: Vec<Branch>,
    pub(super) phase: Phase,
    pub(super) relay: Relay,
}

/// Whether a party's signalling is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    On(ConnectionId),
    LostSince(Mono),
}

/// One device the call was forked to.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    pub(super) device: DeviceId,
    pub(super) presence: Presence,
    pub(super) state: BranchState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BranchState {
    Offered,
    Ringing,
    Answered,
    /// Gave up, or lost the race: its own end, which its device sees.
    Left(HangupReason, Option<DetailWord>),
}

#[derive(Debug, Clone)]
pub(super) enum Phase {
    /// Nobody has answered yet.
    Calling { ringing: bool, deadline: Mono },
    /// Established with the device of branch `branch`.
    Talk { branch: usize, answer: Bytes64, since: Timestamp, media_check: Option<Mono> },
    /// Ended; remembered until `until`.
    Ended { end: End, until: Mono, answered: Option<(DeviceId, Timestamp)> },
}

/// A party as this session knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Party {
    Caller,
    Callee(usize),
}

impl Party {
    pub(super) fn side(self) -> Side {
        match self {
            Self::Caller => Side::Caller,
            Self::Callee(_) => Side::Callee,
        }
    }

    pub(super) fn who(self) -> Who {
        match self {
            Self::Caller => Who::Caller,
            Self::Callee(_) => Who::Callee,
        }
    }
}

impl Session {
    /// A new session from `caller`'s first `call.invite`.
    pub fn start(
        config: &SessionConfig,
        caller: &Endpoint,
        tag: ReplyTag,
        invite: Invite,
        callee: Callee,
        now: Now,
    ) -> (Self, Vec<Effect>) {
        let callee_account = match &callee {
            Callee::Found { account, .. } | Callee::Refused { account, .. } => {
                Some(account.clone())
            }
            Callee::NotFound => None,
        };
        let mut session = Self {
            id: invite.session,
            parties: Parties {
                caller_account: caller.account.clone(),
                caller: caller.uri.clone(),
                caller_device: caller.device.clone(),
                callee_account,
                callee: invite.to,
            },
            media: invite.media,
            since: now.wall,
            offer: invite.offer,
            caller: Presence::On(caller.connection),
            branches: Vec::new(),
            phase: Phase::Calling { ringing: false, deadline: now.mono.plus(config.unanswered) },
            relay: Relay::None,
        };
        let mut effects = Vec::new();
        session.fork(config, callee, now, &mut effects);
        effects.insert(0, session.state_reply(Party::Caller, tag));
        (session, effects)
    }

    /// Takes one input.
    pub fn handle(&mut self, config: &SessionConfig, input: Input, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Request { from, tag, request } => {
                self.on_request(config, &from, tag, request, now, &mut effects);
            }
            Input::Attached { device, resumes } => self.on_attached(&device, resumes, &mut effects),
            Input::Lost { device } => self.on_lost(&device, now),
            Input::RelayReady { caller, callee } => {
                self.on_relay_ready(config, caller, callee, now, &mut effects);
            }
            Input::RelayFailed(failure) => self.on_relay_failed(failure, &mut effects),
            Input::RelayLost => self.on_relay_lost(),
            Input::Media(report) => self.on_media(config, report, now, &mut effects),
            Input::End { reason, detail } => {
                self.hang_up(config, reason, Who::Crs, detail, None, now, &mut effects);
            }
            Input::Tick => self.on_tick(config, now, &mut effects),
        }
        effects
    }

    /// The session's id.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Who takes part.
    pub fn parties(&self) -> &Parties {
        &self.parties
    }

    /// The session as operators see it.
    pub fn summary(&self) -> Summary {
        let (talk_since, end, answered_by) = match &self.phase {
            Phase::Calling { .. } => (None, None, None),
            Phase::Talk { branch, since, .. } => {
                (Some(*since), None, self.branches.get(*branch).map(|branch| branch.device.clone()))
            }
            Phase::Ended { end, answered, .. } => (
                answered.as_ref().map(|(_, since)| *since),
                Some(*end),
                answered.as_ref().map(|(device, _)| device.clone()),
            ),
        };
        Summary {
            id: self.id,
            parties: self.parties.clone(),
            since: self.since,
            talk_since,
            state: self.state(),
            end,
            answered_by,
            media: self.media,
        }
    }

    /// Where the session stands (C-175…C-180).
    pub fn state(&self) -> SessionState {
        match &self.phase {
            Phase::Calling { ringing: false, .. } => SessionState::Invite,
            Phase::Calling { ringing: true, .. } => SessionState::Ringing,
            Phase::Talk { .. } => SessionState::Talk,
            Phase::Ended { end, .. } => end.state,
        }
    }

    fn fork(
        &mut self,
        config: &SessionConfig,
        callee: Callee,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let at_once = |state, reason, detail| (state, reason, Some(detail));
        let (state, reason, detail) = match callee {
            Callee::Found { devices, push, .. } if push || !devices.is_empty() => {
                let wait = if push { config.unanswered_push } else { config.unanswered };
                self.phase = Phase::Calling { ringing: false, deadline: now.mono.plus(wait) };
                effects.push(Effect::Changed(self.summary()));
                for device in devices {
                    self.on_attached(&device, false, effects);
                }
                return;
            }
            Callee::Found { .. } => {
                (SessionState::ResponderNotConnected, HangupReason::Normal, None)
            }
            Callee::NotFound => (SessionState::ResponderNotFound, HangupReason::Normal, None),
            Callee::Refused { why, .. } => match why {
                Refused::Glare => {
                    at_once(SessionState::Hangup, HangupReason::Busy, DetailWord::Glare)
                }
                Refused::UserSessions => {
                    at_once(SessionState::Hangup, HangupReason::Capacity, DetailWord::UserSessions)
                }
                Refused::NodeDrain => {
                    at_once(SessionState::Hangup, HangupReason::Shutdown, DetailWord::NodeDrain)
                }
            },
        };
        let stage = Stage::BeforeAnswer;
        let end = End { state, reason, who: Who::Crs, detail, stage };
        // The caller is told by the reply to its invite.
        let caller = self.connection_of(Party::Caller);
        self.end(config, end, caller, now, effects);
    }

    fn on_request(
        &mut self,
        config: &SessionConfig,
        from: &Endpoint,
        tag: ReplyTag,
        request: CallRequest,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Some(party) = self.party(from) else {
            return effects.push(refused(tag, ErrorCode::Gone, "no such session of yours"));
        };
        // A party that speaks is there, whatever connection it uses now.
        self.set_presence(party, Presence::On(from.connection));
        match request {
            CallRequest::Invite(invite) => effects.push(self.invite_again(party, tag, &invite)),
            CallRequest::Ringing => self.on_ringing(config, party, tag, now, effects),
            CallRequest::Answer(answer) => self.on_answer(config, party, tag, answer, now, effects),
            CallRequest::Hangup { reason, detail } => {
                self.on_hangup(config, party, tag, (reason, detail), now, effects);
            }
            CallRequest::Alloc => self.on_alloc(party, tag, effects),
            CallRequest::Refresh(leg) => self.on_refresh(party, tag, leg, effects),
            CallRequest::Free(leg) => self.on_free(party, tag, leg, effects),
        }
    }

    /// Who `endpoint` is to this session; `None` when it is no party.
    pub(super) fn party(&self, endpoint: &Endpoint) -> Option<Party> {
        let Parties { caller_account, caller, caller_device, .. } = &self.parties;
        if endpoint.account == *caller_account
            && endpoint.uri == *caller
            && endpoint.device == *caller_device
        {
            return Some(Party::Caller);
        }
        if !self.is_callee(endpoint) {
            return None;
        }
        self.branches.iter().position(|branch| branch.device == endpoint.device).map(Party::Callee)
    }

    pub(super) fn is_callee(&self, endpoint: &Endpoint) -> bool {
        self.parties.callee_account.as_ref() == Some(&endpoint.account)
            && endpoint.uri == self.parties.callee
    }

    pub(super) fn set_presence(&mut self, party: Party, presence: Presence) {
        match party {
            Party::Caller => self.caller = presence,
            Party::Callee(at) => {
                if let Some(branch) = self.branches.get_mut(at) {
                    branch.presence = presence;
                }
            }
        }
    }

    pub(super) fn connection_of(&self, party: Party) -> Option<ConnectionId> {
        let presence = match party {
            Party::Caller => self.caller,
            Party::Callee(at) => self.branches.get(at)?.presence,
        };
        match presence {
            Presence::On(connection) => Some(connection),
            Presence::LostSince(_) => None,
        }
    }

    pub(super) fn state_reply(&self, party: Party, tag: ReplyTag) -> Effect {
        Effect::Reply { tag, result: Ok(CallReply::State(Box::new(self.view(party)))) }
    }

    pub(super) fn notify(&self, party: Party, effects: &mut Vec<Effect>) {
        if let Some(to) = self.connection_of(party) {
            effects.push(Effect::Notify { to, state: Box::new(self.view(party)) });
        }
    }
}

pub(super) fn refused(tag: ReplyTag, code: ErrorCode, text: &str) -> Effect {
    Effect::Reply { tag, result: Err(ErrorBody::new(code, text)) }
}
