//! What happens to a session by time.

use std::time::Duration;

use crs_types::Mono;

use super::DetailWord;
use super::core::{Party, Phase, Presence, Session};
use super::types::{Effect, End, SessionConfig};
use crate::connection::Now;
use crate::wire::call::{HangupReason, SessionState, Stage, Who};

/// The relay is asked again after this long when it did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(10);

impl Session {
    /// When to hand in [`super::Input::Tick`]; `None` only in a call that nothing threatens.
    pub fn next_deadline(&self, config: &SessionConfig) -> Option<Mono> {
        let own = match &self.phase {
            Phase::Calling { deadline, .. } => Some(*deadline),
            Phase::Talk { media_check, .. } => *media_check,
            Phase::Ended { until, .. } => return Some(*until),
        };
        let lost = self.lost_deadline(config).map(|(deadline, _)| deadline);
        [own, lost, self.relay.refresh_at()].into_iter().flatten().min()
    }

    /// When the first party counts as lost for good, and what that is called.
    fn lost_deadline(&self, config: &SessionConfig) -> Option<(Mono, DetailWord)> {
        let caller = (self.caller, DetailWord::CallerLost);
        let callee = match &self.phase {
            Phase::Talk { branch, .. } => {
                self.branches.get(*branch).map(|branch| (branch.presence, DetailWord::CalleeLost))
            }
            Phase::Calling { .. } => None,
            Phase::Ended { .. } => return None,
        };
        [Some(caller), callee]
            .into_iter()
            .flatten()
            .filter_map(|(presence, word)| match presence {
                Presence::On(_) => None,
                Presence::LostSince(since) => Some((since.plus(config.client_lost), word)),
            })
            .min_by_key(|(deadline, _)| *deadline)
    }

    pub(super) fn on_tick(&mut self, config: &SessionConfig, now: Now, effects: &mut Vec<Effect>) {
        if let Phase::Ended { until, .. } = &self.phase {
            if *until <= now.mono {
                effects.push(Effect::Expired);
            }
            return;
        }
        if let Some((deadline, word)) = self.lost_deadline(config)
            && deadline <= now.mono
        {
            let reason = HangupReason::ClientLost;
            return self.hang_up(config, reason, Who::Crs, Some(word), None, now, effects);
        }
        let no_media = self.has_no_media();
        let check = match &mut self.phase {
            Phase::Calling { deadline, ringing } if *deadline <= now.mono => {
                let ringing = *ringing;
                return self.give_up(config, ringing, now, effects);
            }
            Phase::Talk { media_check: Some(at), .. } if *at <= now.mono && no_media => {
                let (reason, word) = (HangupReason::MediaFailed, DetailWord::NeverUp);
                return self.hang_up(config, reason, Who::Crs, Some(word), None, now, effects);
            }
            Phase::Talk { media_check: Some(at), .. } if *at <= now.mono => {
                *at = now.mono.plus(ASK_AGAIN);
                true
            }
            Phase::Calling { .. } | Phase::Talk { .. } | Phase::Ended { .. } => false,
        };
        let refresh = self.relay.refresh_due(config, now);
        if refresh {
            effects.push(Effect::RefreshRelay);
        }
        if refresh || check {
            effects.push(Effect::QueryMedia);
        }
    }

    fn give_up(
        &mut self,
        config: &SessionConfig,
        ringing: bool,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let present =
            (0..self.branches.len()).any(|at| self.connection_of(Party::Callee(at)).is_some());
        if !ringing && !present {
            // No device came, or all that were rung have gone.
            let end = End {
                state: SessionState::ResponderNotConnected,
                reason: HangupReason::Normal,
                who: Who::Crs,
                detail: None,
                stage: Stage::BeforeAnswer,
            };
            return self.end(config, end, None, now, effects);
        }
        let word = if ringing { DetailWord::RingTimeout } else { DetailWord::InviteTimeout };
        self.hang_up(config, HangupReason::NoAnswer, Who::Crs, Some(word), None, now, effects);
    }
}
