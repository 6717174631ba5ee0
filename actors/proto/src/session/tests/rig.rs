//! A session with a virtual clock; effects in one line each.

use std::time::Duration;

use crs_types::{AccountId, ConnectionId, DeviceId, Mono, SessionId, Timestamp, Uri};

use super::super::*;
use crate::connection::Now;
use crate::wire::call::{CallState, HangupReason, Invite};
use crate::wire::relay::{Leg, RelayKind};
use crate::wire::{Bytes64, word};

pub(super) struct Rig {
    pub(super) core: Session,
    pub(super) config: SessionConfig,
    pub(super) now: Now,
    pub(super) tag: u64,
}

/// A device of `who` on connection `connection`.
pub(super) fn device(who: &str, name: &str, connection: u64) -> Endpoint {
    Endpoint {
        account: AccountId::parse("police").unwrap(),
        uri: Uri::parse(who).unwrap(),
        device: DeviceId::parse(name).unwrap(),
        connection: ConnectionId(connection),
    }
}

pub(super) fn caller() -> Endpoint {
    device("+46701", "caller", 1)
}

/// Device `n` of the callee, on connection `10 + n`.
pub(super) fn callee(n: u64) -> Endpoint {
    device("+46702", &format!("callee{n}"), 10 + n)
}

pub(super) fn id() -> SessionId {
    SessionId::from_parts(Timestamp::from_millis(5), [1; 10])
}

pub(super) fn offer() -> Bytes64 {
    Bytes64(b"offer".to_vec())
}

pub(super) fn invite() -> Invite {
    Invite { session: id(), to: callee(1).uri, offer: offer(), media: RelayKind::Rtp }
}

pub(super) fn answer(text: &str) -> CallRequest {
    CallRequest::Answer(Bytes64(text.as_bytes().to_vec()))
}

pub(super) fn hangup(reason: HangupReason) -> CallRequest {
    CallRequest::Hangup { reason, detail: None }
}

pub(super) fn found(devices: Vec<Endpoint>, push: bool) -> Callee {
    Callee::Found { account: callee(1).account, devices, push }
}

pub(super) fn leg(leg: u64) -> Leg {
    Leg {
        leg,
        kind: RelayKind::Rtp,
        addresses: Vec::new(),
        ufrag: "u".into(),
        password: "p".into(),
        channel: None,
        lifetime_ms: 60_000,
    }
}

pub(super) fn start_now() -> Now {
    Now { mono: Mono::from_micros(1_000_000_000), wall: Timestamp::from_secs(1_800_000_000) }
}

impl Rig {
    /// The reply to the invite has tag 0 and is part of the effects.
    pub(super) fn start(callee: Callee) -> (Self, Vec<String>) {
        let config = SessionConfig::default();
        let now = start_now();
        let (core, effects) =
            Session::start(&config, &caller(), ReplyTag(0), invite(), callee, now);
        (Self { core, config, now, tag: 0 }, lines(&effects))
    }

    /// Two devices of the callee are attached.
    pub(super) fn calling() -> Self {
        Self::start(found(vec![callee(1), callee(2)], false)).0
    }

    pub(super) fn ringing() -> Self {
        let mut rig = Self::calling();
        rig.ask(&callee(1), CallRequest::Ringing);
        rig
    }

    /// Device 1 has answered.
    pub(super) fn talking() -> Self {
        let mut rig = Self::calling();
        rig.ask(&callee(1), answer("answer"));
        rig
    }

    pub(super) fn ended() -> Self {
        let mut rig = Self::talking();
        rig.ask(&caller(), hangup(HangupReason::Normal));
        rig
    }

    pub(super) fn feed(&mut self, input: Input) -> Vec<String> {
        lines(&self.core.handle(&self.config, input, self.now))
    }

    pub(super) fn ask(&mut self, from: &Endpoint, request: CallRequest) -> Vec<String> {
        self.tag += 1;
        let tag = ReplyTag(self.tag);
        self.feed(Input::Request { from: from.clone(), tag, request })
    }

    pub(super) fn wait(&mut self, duration: Duration) {
        let Now { mono, wall } = self.now;
        self.now = Now { mono: mono.plus(duration), wall: wall.plus(duration) };
    }

    /// Sleeps until the deadline, hands in the tick; seconds slept and effects.
    pub(super) fn sleep(&mut self) -> (u64, Vec<String>) {
        let deadline = self.core.next_deadline(&self.config).unwrap();
        let wait = deadline.since(self.now.mono);
        self.wait(wait);
        (wait.as_secs(), self.feed(Input::Tick))
    }
}

/// One line per effect: `reply talk`, `reply !gone`, `to 11 invite+offer`, `alloc`, …
pub(super) fn lines(effects: &[Effect]) -> Vec<String> {
    effects.iter().map(line).collect()
}

fn line(effect: &Effect) -> String {
    match effect {
        Effect::Reply { result: Ok(CallReply::State(view)), .. } => {
            format!("reply {}", state(view))
        }
        Effect::Reply { result: Ok(CallReply::Leg(leg)), .. } => format!("reply leg {}", leg.leg),
        Effect::Reply { result: Ok(CallReply::Done), .. } => "reply done".into(),
        Effect::Reply { result: Err(error), .. } => format!("reply !{}", word(&error.code)),
        Effect::Notify { to, state: view } => format!("to {to} {}", state(view)),
        Effect::AllocRelay(_) => "alloc".into(),
        Effect::RefreshRelay => "refresh".into(),
        Effect::FreeRelay => "free".into(),
        Effect::QueryMedia => "query".into(),
        Effect::Changed(summary) => format!("= {}", word(&summary.state)),
        Effect::Expired => "expired".into(),
    }
}

pub(super) fn state(view: &CallState) -> String {
    let mut text = word(&view.state);
    if let (Some(reason), Some(who)) = (view.reason, view.who) {
        text += &format!("({}, {})", word(&reason), word(&who));
    }
    if let Some(detail) = &view.detail {
        text += &format!(" {detail}");
    }
    for (part, there) in [("offer", &view.offer), ("answer", &view.answer)] {
        if there.is_some() {
            text += &format!("+{part}");
        }
    }
    text
}
