//! The session's relay: `relay.alloc`, `relay.refresh`, `relay.free`, and silence.

use crs_types::{LegId, Mono};

use super::DetailWord;
use super::core::{BranchState, Party, Phase, Session, refused};
use super::types::{
    CallReply, Effect, LegPath, LegReport, MediaReport, RelayFailure, ReplyTag, SessionConfig, Side,
};
use crate::connection::Now;
use crate::wire::call::{HangupReason, Who};
use crate::wire::relay::Leg;
use crate::wire::{ErrorBody, ErrorCode};

/// Most `relay.alloc` requests that wait for the relay to answer.
const WAITING_MAX: usize = 32;

#[derive(Debug)]
pub(super) enum Relay {
    None,
    Pending { waiting: Vec<(Side, ReplyTag)> },
    Ready(Box<Ready>),
}

#[derive(Debug)]
pub(super) struct Ready {
    caller: Leg,
    callee: Leg,
    /// Silence counts from here at the earliest.
    since: Mono,
    /// When the legs are kept alive next.
    refresh_at: Mono,
    freed: [bool; 2],
}

impl Relay {
    pub(super) fn restart(&mut self, now: Now) {
        if let Self::Ready(ready) = self {
            ready.since = now.mono;
        }
    }

    /// When the legs are to be kept alive next, while there are any.
    pub(super) fn refresh_at(&self) -> Option<Mono> {
        match self {
            Self::None | Self::Pending { .. } => None,
            Self::Ready(ready) => Some(ready.refresh_at),
        }
    }

    /// True when the legs are to be kept alive now; the next time is set.
    pub(super) fn refresh_due(&mut self, config: &SessionConfig, now: Now) -> bool {
        match self {
            Self::Ready(ready) if ready.refresh_at <= now.mono => {
                ready.refresh_at = now.mono.plus(config.refresh);
                true
            }
            Self::None | Self::Pending { .. } | Self::Ready(_) => false,
        }
    }
}

impl Ready {
    fn leg(&self, side: Side) -> &Leg {
        match side {
            Side::Caller => &self.caller,
            Side::Callee => &self.callee,
        }
    }

    fn owns(&self, side: Side, leg: LegId) -> bool {
        LegId(self.leg(side).leg) == leg
    }
}

impl Session {
    pub(super) fn on_alloc(&mut self, party: Party, tag: ReplyTag, effects: &mut Vec<Effect>) {
        if !self.may_have_media(party) {
            return effects.push(refused(tag, ErrorCode::Gone, "the call has ended"));
        }
        match &mut self.relay {
            Relay::None => {
                self.relay = Relay::Pending { waiting: vec![(party.side(), tag)] };
                effects.push(Effect::AllocRelay(self.media));
            }
            Relay::Pending { waiting } if waiting.len() < WAITING_MAX => {
                waiting.push((party.side(), tag));
            }
            Relay::Pending { .. } => {
                effects.push(refused(tag, ErrorCode::Capacity, "the relay has not answered yet"));
            }
            Relay::Ready(ready) => {
                let leg = ready.leg(party.side()).clone();
                effects.push(Effect::Reply { tag, result: Ok(CallReply::Leg(leg)) });
            }
        }
    }

    /// Both parties until the end; of the callee's devices, those that may still take or have
    /// taken the call. They share the callee's leg: whoever answers binds it.
    fn may_have_media(&self, party: Party) -> bool {
        match (&self.phase, party) {
            (Phase::Ended { .. }, _) => false,
            (Phase::Calling { .. } | Phase::Talk { .. }, Party::Caller) => true,
            (Phase::Calling { .. } | Phase::Talk { .. }, Party::Callee(at)) => self
                .branches
                .get(at)
                .is_some_and(|branch| !matches!(branch.state, BranchState::Left(..))),
        }
    }

    pub(super) fn on_refresh(
        &self,
        party: Party,
        tag: ReplyTag,
        leg: LegId,
        effects: &mut Vec<Effect>,
    ) {
        match &self.relay {
            Relay::Ready(ready) if ready.owns(party.side(), leg) && self.may_have_media(party) => {
                let leg = ready.leg(party.side()).clone();
                effects.push(Effect::RefreshRelay);
                effects.push(Effect::Reply { tag, result: Ok(CallReply::Leg(leg)) });
            }
            Relay::None | Relay::Pending { .. } | Relay::Ready(_) => {
                effects.push(refused(tag, ErrorCode::Gone, "no such leg of yours"));
            }
        }
    }

    pub(super) fn on_free(
        &mut self,
        party: Party,
        tag: ReplyTag,
        leg: LegId,
        effects: &mut Vec<Effect>,
    ) {
        let allowed = self.may_have_media(party);
        let Relay::Ready(ready) = &mut self.relay else {
            return effects.push(refused(tag, ErrorCode::Gone, "no such leg of yours"));
        };
        if !ready.owns(party.side(), leg) || !allowed {
            return effects.push(refused(tag, ErrorCode::Gone, "no such leg of yours"));
        }
        ready.freed[party.side() as usize] = true;
        let both = ready.freed == [true, true];
        effects.push(Effect::Reply { tag, result: Ok(CallReply::Done) });
        if both {
            self.free_relay(effects);
        }
    }

    pub(super) fn on_relay_ready(
        &mut self,
        config: &SessionConfig,
        caller: Leg,
        callee: Leg,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        // Ended or freed meanwhile: nobody wants these legs.
        let Relay::Pending { waiting } = &mut self.relay else {
            return effects.push(Effect::FreeRelay);
        };
        let waiting = std::mem::take(waiting);
        let refresh_at = now.mono.plus(config.refresh);
        let ready = Ready { caller, callee, since: now.mono, refresh_at, freed: [false; 2] };
        for (side, tag) in waiting {
            let leg = ready.leg(side).clone();
            effects.push(Effect::Reply { tag, result: Ok(CallReply::Leg(leg)) });
        }
        self.relay = Relay::Ready(Box::new(ready));
        if let Phase::Talk { media_check, .. } = &mut self.phase {
            *media_check = Some(first_check(config, now));
        }
    }

    pub(super) fn on_relay_failed(&mut self, failure: RelayFailure, effects: &mut Vec<Effect>) {
        let Relay::Pending { waiting } = &mut self.relay else { return };
        let waiting = std::mem::take(waiting);
        self.relay = Relay::None;
        let error = match failure {
            RelayFailure::Limit => ErrorBody::new(ErrorCode::RelayLimit, "the relay is full"),
            RelayFailure::Unavailable => {
                ErrorBody::retry(ErrorCode::Unavailable, "the relay does not answer", 1000)
            }
        };
        for (_, tag) in waiting {
            effects.push(Effect::Reply { tag, result: Err(error.clone()) });
        }
    }

    pub(super) fn on_media(
        &mut self,
        config: &SessionConfig,
        report: MediaReport,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let (Phase::Talk { media_check, .. }, Relay::Ready(ready)) = (&mut self.phase, &self.relay)
        else {
            return;
        };
        let Some(checked_since) = media_check.as_ref().map(|_| ready.since) else { return };
        let last = [report.caller, report.callee]
            .iter()
            .filter_map(|leg: &LegReport| leg.last_packet)
            .fold(checked_since, Mono::max);
        let never = |detail| Some((HangupReason::MediaFailed, detail));
        let age = now.mono.since(checked_since);
        let paths = [report.caller.path, report.callee.path];
        let unbound = paths.iter().filter(|path| **path == LegPath::NeverBound).count();
        let gone = paths.iter().any(|path| match path {
            LegPath::LostSince(at) => now.mono.since(*at) >= config.client_lost,
            LegPath::NeverBound | LegPath::Bound => false,
        });
        let dead = match unbound {
            2 if age >= config.media_silence => never(DetailWord::NeverUp),
            1 if age >= config.media_silence => never(DetailWord::OneWay),
            // The other side talks to nobody, and nobody's connection need have been cut.
            _ if gone => never(DetailWord::OneWay),
            _ if now.mono.since(last) >= config.media_silence => {
                Some((HangupReason::MediaTimeout, DetailWord::Silence))
            }
            _ => None,
        };
        match dead {
            Some((reason, word)) => {
                self.hang_up(config, reason, Who::Crs, Some(word), None, now, effects);
            }
            None => {
                // A leg that is not bound yet has its own, earlier deadline.
                let from = if unbound == 0 { last } else { checked_since };
                *media_check = Some(from.plus(config.media_silence));
            }
        }
    }

    /// The relay has dropped the legs by itself; the parties may ask for new ones.
    pub(super) fn on_relay_lost(&mut self) {
        if matches!(self.relay, Relay::Ready(_)) {
            self.free_relay(&mut Vec::new());
        }
    }

    /// Gives the relay back, and tells those who still wait for it.
    pub(super) fn free_relay(&mut self, effects: &mut Vec<Effect>) {
        match std::mem::replace(&mut self.relay, Relay::None) {
            Relay::None => {}
            // The legs are freed when they arrive.
            Relay::Pending { waiting } => {
                for (_, tag) in waiting {
                    effects.push(refused(tag, ErrorCode::Gone, "the call has ended"));
                }
            }
            Relay::Ready(_) => effects.push(Effect::FreeRelay),
        }
    }

    /// The time for media is over in a call whose parties have not asked for a relay, or have
    /// given it back.
    pub(super) fn has_no_media(&self) -> bool {
        match &self.relay {
            Relay::None | Relay::Pending { .. } => true,
            Relay::Ready(_) => false,
        }
    }
}

/// When to look for silence first.
pub(super) fn first_check(config: &SessionConfig, now: Now) -> Mono {
    now.mono.plus(config.media_silence)
}
