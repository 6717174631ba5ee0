//! The requests `call.invite` (again), `call.ringing`, `call.answer`, `call.hangup`, and devices
//! that come and go.

use super::core::{Branch, BranchState, Party, Phase, Presence, Session, refused};
use super::types::{BRANCHES_MAX, Effect, End, Endpoint, ReplyTag, SessionConfig};
use super::{DetailWord, media};
use crate::connection::Now;
use crate::wire::call::{HangupReason, Invite, SessionState, Stage, Who};
use crate::wire::{Bytes64, ErrorCode};

impl Session {
    pub(super) fn invite_again(&self, party: Party, tag: ReplyTag, invite: &Invite) -> Effect {
        if party != Party::Caller {
            return refused(tag, ErrorCode::IdConflict, "this session id belongs to another call");
        }
        let same = invite.to == self.parties.callee && invite.media == self.media;
        let same_offer = self.offer == invite.offer || matches!(self.phase, Phase::Ended { .. });
        if same && same_offer {
            self.state_reply(party, tag)
        } else {
            refused(tag, ErrorCode::IdConflict, "this session id was used for another invite")
        }
    }

    pub(super) fn on_ringing(
        &mut self,
        config: &SessionConfig,
        party: Party,
        tag: ReplyTag,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Party::Callee(at) = party else {
            return effects.push(refused(tag, ErrorCode::NotAllowed, "the caller does not ring"));
        };
        let offered = self.branches.get(at).is_some_and(|b| b.state == BranchState::Offered);
        if let (Phase::Calling { ringing, deadline }, true) = (&mut self.phase, offered) {
            let first = !std::mem::replace(ringing, true);
            if first {
                *deadline = now.mono.plus(config.ringing);
            }
            self.branches[at].state = BranchState::Ringing;
            effects.push(self.state_reply(party, tag));
            if first {
                self.notify(Party::Caller, effects);
                effects.push(Effect::Changed(self.summary()));
            }
            return;
        }
        // Late or repeated: the device learns how the session stands.
        effects.push(self.state_reply(party, tag));
    }

    pub(super) fn on_answer(
        &mut self,
        config: &SessionConfig,
        party: Party,
        tag: ReplyTag,
        answer: Bytes64,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Party::Callee(at) = party else {
            return effects.push(refused(tag, ErrorCode::NotAllowed, "the caller cannot answer"));
        };
        match (&self.phase, self.branches.get(at).map(|branch| branch.state)) {
            (Phase::Calling { .. }, Some(BranchState::Offered | BranchState::Ringing)) => {
                self.establish(config, at, answer, now);
                effects.push(self.state_reply(party, tag));
                self.notify(Party::Caller, effects);
                for other in (0..self.branches.len()).filter(|other| *other != at) {
                    self.drop_branch(other, effects);
                }
                effects.push(Effect::Changed(self.summary()));
            }
            (Phase::Talk { branch, answer: first, .. }, _) if *branch == at => {
                let reply = if *first == answer {
                    self.state_reply(party, tag)
                } else {
                    refused(tag, ErrorCode::NotAllowed, "this device has answered differently")
                };
                effects.push(reply);
            }
            (Phase::Talk { .. }, _) => {
                effects.push(refused(tag, ErrorCode::Gone, "another device has answered"));
            }
            (Phase::Calling { .. } | Phase::Ended { .. }, _) => {
                effects.push(refused(tag, ErrorCode::Gone, "the call has ended"));
            }
        }
    }

    fn establish(&mut self, config: &SessionConfig, at: usize, answer: Bytes64, now: Now) {
        self.branches[at].state = BranchState::Answered;
        // Silence counts from here: nobody talks while it rings.
        self.relay.restart(now);
        let media_check = Some(media::first_check(config, now));
        self.phase = Phase::Talk { branch: at, answer, since: now.wall, media_check };
    }

    /// Another device has answered: this one stops ringing.
    fn drop_branch(&mut self, at: usize, effects: &mut Vec<Effect>) {
        let branch = &mut self.branches[at];
        if matches!(branch.state, BranchState::Left(..)) {
            return;
        }
        branch.state = BranchState::Left(HangupReason::AnsweredElsewhere, None);
        self.notify(Party::Callee(at), effects);
    }

    pub(super) fn on_hangup(
        &mut self,
        config: &SessionConfig,
        party: Party,
        tag: ReplyTag,
        (reason, detail): (HangupReason, Option<DetailWord>),
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let calling = match &self.phase {
            Phase::Calling { .. } => true,
            Phase::Talk { .. } => false,
            Phase::Ended { .. } => return effects.push(self.state_reply(party, tag)),
        };
        let left = |branch: &Branch| matches!(branch.state, BranchState::Left(..));
        if let Party::Callee(at) = party
            && self.branches.get(at).is_none_or(left)
        {
            return effects.push(self.state_reply(party, tag));
        }
        let reason = meant(reason, party, calling);
        let gave_up = !matches!(reason, HangupReason::Declined);
        if let (Party::Callee(at), true, true) = (party, calling, gave_up) {
            // One device cannot take the call; others may.
            self.branches[at].state = BranchState::Left(reason, detail);
            effects.push(self.state_reply(party, tag));
            return self.end_if_all_left(config, now, effects);
        }
        let asking = self.connection_of(party);
        let mut after = Vec::new();
        self.hang_up(config, reason, party.who(), detail, asking, now, &mut after);
        effects.push(self.state_reply(party, tag));
        effects.append(&mut after);
    }

    fn end_if_all_left(&mut self, config: &SessionConfig, now: Now, effects: &mut Vec<Effect>) {
        let mut best: Option<(u8, HangupReason, Option<DetailWord>)> = None;
        for branch in &self.branches {
            let BranchState::Left(reason, detail) = branch.state else { return };
            if best.is_none_or(|(rank, ..)| reason.rank() > rank) {
                best = Some((reason.rank(), reason, detail));
            }
        }
        if let Some((_, reason, detail)) = best {
            self.hang_up(config, reason, Who::Callee, detail, None, now, effects);
        }
    }

    pub(super) fn on_attached(
        &mut self,
        device: &Endpoint,
        resumes: bool,
        effects: &mut Vec<Effect>,
    ) {
        let presence = Presence::On(device.connection);
        match (self.party(device), &self.phase) {
            (_, Phase::Ended { .. }) => {}
            (Some(Party::Callee(at)), Phase::Calling { .. }) => {
                self.set_presence(Party::Callee(at), presence);
                let left = matches!(self.branches[at].state, BranchState::Left(..));
                if !resumes && !left {
                    self.notify(Party::Callee(at), effects);
                }
            }
            // In a call only a device that still knows the call is back.
            (Some(party), Phase::Calling { .. } | Phase::Talk { .. }) => {
                if resumes {
                    self.set_presence(party, presence);
                }
            }
            (None, Phase::Calling { .. }) => {
                if self.is_callee(device) && self.branches.len() < BRANCHES_MAX {
                    let (device, state) = (device.device.clone(), BranchState::Offered);
                    self.branches.push(Branch { device, presence, state });
                    self.notify(Party::Callee(self.branches.len() - 1), effects);
                }
            }
            (None, Phase::Talk { .. }) => {}
        }
    }

    pub(super) fn on_lost(&mut self, device: &Endpoint, now: Now) {
        if let Some(party) = self.party(device)
            && self.connection_of(party) == Some(device.connection)
        {
            self.set_presence(party, Presence::LostSince(now.mono));
        }
    }

    /// Ends with `hangup(reason, who)`, unless it has ended already. `asking` is told by its
    /// reply instead of an event.
    #[allow(clippy::too_many_arguments, reason = "the facts of an end, all needed, used once")]
    pub(super) fn hang_up(
        &mut self,
        config: &SessionConfig,
        reason: HangupReason,
        who: Who,
        detail: Option<DetailWord>,
        asking: Option<crs_types::ConnectionId>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let stage = match &self.phase {
            Phase::Calling { .. } => Stage::BeforeAnswer,
            Phase::Talk { .. } => Stage::AfterAnswer,
            Phase::Ended { .. } => return,
        };
        let end = End { state: SessionState::Hangup, reason, who, detail, stage };
        self.end(config, end, asking, now, effects);
    }

    pub(super) fn end(
        &mut self,
        config: &SessionConfig,
        end: End,
        asking: Option<crs_types::ConnectionId>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let answered = match &self.phase {
            Phase::Talk { branch, since, .. } => {
                self.branches.get(*branch).map(|branch| (branch.device.clone(), *since))
            }
            Phase::Calling { .. } | Phase::Ended { .. } => None,
        };
        let until = now.mono.plus(config.kept_after_end);
        self.phase = Phase::Ended { end, until, answered };
        self.offer = Bytes64::default();
        let parties = (0..self.branches.len())
            .filter(|at| !matches!(self.branches[*at].state, BranchState::Left(..)))
            .map(Party::Callee);
        for party in std::iter::once(Party::Caller).chain(parties) {
            if self.connection_of(party) != asking || asking.is_none() {
                self.notify(party, effects);
            }
        }
        self.free_relay(effects);
        effects.push(Effect::Changed(self.summary()));
    }
}

/// What a client's reason means where it was said: a plain hangup before the answer is a
/// cancellation by the caller and a refusal by the callee; those words say nothing in a call.
fn meant(reason: HangupReason, party: Party, calling: bool) -> HangupReason {
    match (reason, party, calling) {
        (HangupReason::MediaFailed | HangupReason::Incompatible | HangupReason::Error, _, _) => {
            reason
        }
        (_, _, false) => HangupReason::Normal,
        (_, Party::Caller, true) => HangupReason::Cancelled,
        (HangupReason::Busy, Party::Callee(_), true) => HangupReason::Busy,
        (_, Party::Callee(_), true) => HangupReason::Declined,
    }
}
