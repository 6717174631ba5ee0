//! The session as one party sees it.

use super::core::{BranchState, Party, Phase, Session};
use super::types::{End, Endpoint};
use crate::wire::call::{CallState, SessionState, Stage};

impl Session {
    /// The state as `endpoint` sees it; `None` when it is no party.
    pub fn view_for(&self, endpoint: &Endpoint) -> Option<CallState> {
        self.party(endpoint).map(|party| self.view(party))
    }

    pub(super) fn view(&self, party: Party) -> CallState {
        let mut view = CallState {
            session: self.id,
            state: self.state(),
            from: self.parties.caller.clone(),
            from_account: self.parties.caller_account.clone(),
            to: self.parties.callee.clone(),
            offer: None,
            answer: None,
            device: None,
            media: self.media,
            reason: None,
            who: None,
            detail: None,
            stage: None,
        };
        if let Some(end) = self.end_for(party) {
            view.state = end.state;
            view.stage = Some(end.stage);
            view.detail = end.detail.map(|word| word.as_str().to_owned());
            if end.state == SessionState::Hangup {
                view.reason = Some(end.reason);
                view.who = Some(end.who);
            }
            return view;
        }
        match (&self.phase, party) {
            (Phase::Calling { .. }, Party::Callee(_)) => view.offer = Some(self.offer.clone()),
            (Phase::Talk { branch, answer, .. }, party) => {
                view.device = self.branches.get(*branch).map(|branch| branch.device.clone());
                if party == Party::Caller {
                    view.answer = Some(answer.clone());
                }
            }
            (Phase::Calling { .. } | Phase::Ended { .. }, _) => {}
        }
        view
    }

    /// How the session ended for this party: a branch may have left while the session goes on.
    fn end_for(&self, party: Party) -> Option<End> {
        if let Party::Callee(at) = party
            && let Some(BranchState::Left(reason, detail)) =
                self.branches.get(at).map(|branch| branch.state)
        {
            let who = reason.of_device();
            let (state, stage) = (SessionState::Hangup, Stage::BeforeAnswer);
            return Some(End { state, reason, who, detail, stage });
        }
        match &self.phase {
            Phase::Ended { end, .. } => Some(*end),
            Phase::Calling { .. } | Phase::Talk { .. } => None,
        }
    }
}
