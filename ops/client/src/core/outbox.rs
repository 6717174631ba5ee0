//! The outbox: write to disk, seal, write to disk, only then post; repeat with the same id and
//! the same bytes until the server has confirmed or refused for good.
//!
//! Each receiver has a lane in which order is kept: after a failure nothing later is posted to
//! that receiver until the failed message has been repeated. A message is sealed once: sealing it
//! anew would make another body under the same id.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crs_proto::wire::{ErrorBody, ErrorCode};
use crs_types::{MessageId, Mono, Uri};
use serde::{Deserialize, Serialize};

/// Messages in the outbox; beyond, the application is refused.
pub const ENTRIES_MAX: usize = 4096;
/// Plain bytes of one message, so that the sealed body stays within the wire's limit.
pub const PLAIN_MAX: usize = crs_types::limits::BODY_MAX - 4096;
/// Posts under way to one receiver.
pub const LANE_WINDOW: usize = 8;
/// Posts under way in all (the connection takes 32 requests).
pub const WINDOW: usize = 20;
const RETRY: Duration = Duration::from_secs(1);
/// A lane whose first message is told this often that an earlier one failed asks for a new
/// connection: the server's view and ours differ.
const STRIKES: u32 = 3;

/// A record of the outbox journal. The order of variants is part of the format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// Taken from the application.
    Accepted {
        /// The message.
        mid: MessageId,
        /// The receiver.
        to: Uri,
        /// Content.
        plain: Vec<u8>,
    },
    /// Sealed: this is what is posted, however often.
    Sealed {
        /// The message.
        mid: MessageId,
        /// The receiver.
        to: Uri,
        /// The envelope.
        body: Vec<u8>,
    },
    /// Confirmed or refused for good.
    Finished {
        /// The message.
        mid: MessageId,
    },
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The application gives a message.
    Accept(MessageId, Uri, Vec<u8>),
    /// Registered: posts may be made.
    Attached,
    /// The connection is gone; what was under way is unknown.
    Disconnected,
    /// The `Store` of this token, and all before, are synced.
    Stored(u64),
    /// The `Store` of this token was not written.
    StoreFailed(u64),
    /// The envelope of a message.
    Sealed(MessageId, Vec<u8>),
    /// It cannot be sealed now; when to try again, or never (code and text).
    SealFailed(MessageId, Result<Duration, (String, String)>),
    /// The server confirmed.
    Confirmed(MessageId),
    /// The server answered with an error.
    Refused(MessageId, ErrorBody),
    /// The time asked for by `WakeAt` has come.
    Tick,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Append to the journal and sync, then `Stored` with the token.
    Store(u64, Vec<Record>),
    /// The message is safe: tell the application that it was taken.
    Accepted(MessageId),
    /// It could not be written: tell the application that it was not taken.
    NotAccepted(MessageId),
    /// Look the receiver up and seal, then `Sealed` or `SealFailed`.
    Seal(MessageId, Uri, Vec<u8>),
    /// Request `msg.post`.
    Post(MessageId, Uri, Vec<u8>),
    /// Tell the application: refused for good, with code and text.
    Failed(MessageId, String, String),
    /// Close the connection and make a new one.
    Reconnect,
    /// Feed `Tick` at this time.
    WakeAt(Mono),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// Content known, not sealed; being sealed when the flag is set.
    Plain {
        plain: Vec<u8>,
        sealing: bool,
    },
    /// Sealed, not synced yet.
    Syncing(Vec<u8>),
    Ready(Vec<u8>),
    InFlight(Vec<u8>),
}

#[derive(Debug)]
struct Entry {
    mid: MessageId,
    stage: Stage,
}

#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<Entry>,
    /// A post failed: nothing new until those under way have been answered and the time has come.
    broken: bool,
    resume_at: Option<Mono>,
    strikes: u32,
}

/// What waits for a sync.
#[derive(Debug, PartialEq, Eq)]
enum Pending {
    Accept(MessageId),
    Seal(MessageId),
    Finish,
}

/// The state machine.
#[derive(Debug, Default)]
pub struct Outbox {
    lanes: BTreeMap<Uri, Lane>,
    receivers: BTreeMap<MessageId, Uri>,
    stores: VecDeque<(u64, Pending)>,
    token: u64,
    online: bool,
    in_flight: usize,
}

impl Outbox {
    /// From the records of the journal.
    pub fn restore(records: Vec<Record>) -> Self {
        let mut outbox = Self::default();
        for record in records {
            match record {
                Record::Accepted { mid, to, plain } => {
                    outbox.push(mid, to, Stage::Plain { plain, sealing: false });
                }
                Record::Sealed { mid, to, body } => {
                    if outbox.receivers.contains_key(&mid) {
                        outbox.set(mid, Stage::Ready(body));
                    } else {
                        outbox.push(mid, to, Stage::Ready(body));
                    }
                }
                Record::Finished { mid } => drop(outbox.remove(mid)),
            }
        }
        outbox
    }

    /// Messages that are not confirmed.
    pub fn len(&self) -> usize {
        self.receivers.len()
    }

    /// True when everything is confirmed.
    pub fn is_empty(&self) -> bool {
        self.receivers.is_empty()
    }

    /// The content of a compacted journal, in batches.
    pub fn compacted(&self) -> Vec<Vec<Record>> {
        let mut batches = Vec::new();
        for (to, lane) in &self.lanes {
            for entry in &lane.queue {
                let (mid, to) = (entry.mid, to.clone());
                batches.push(vec![match &entry.stage {
                    Stage::Plain { plain, .. } => {
                        Record::Accepted { mid, to, plain: plain.clone() }
                    }
                    Stage::Syncing(body) | Stage::Ready(body) | Stage::InFlight(body) => {
                        Record::Sealed { mid, to, body: body.clone() }
                    }
                }]);
            }
        }
        batches
    }

    /// Takes an input; run the effects in order.
    pub fn handle(&mut self, input: Input, now: Mono) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Accept(mid, to, plain) => self.accept(mid, to, plain, &mut effects),
            Input::Attached => self.online = true,
            Input::Disconnected => self.disconnected(),
            Input::Stored(token) => self.stored(token, &mut effects),
            Input::StoreFailed(token) => self.store_failed(token, now, &mut effects),
            Input::Sealed(mid, body) => self.sealed(mid, body, &mut effects),
            Input::SealFailed(mid, why) => self.seal_failed(mid, why, now, &mut effects),
            Input::Confirmed(mid) => self.confirmed(mid, &mut effects),
            Input::Refused(mid, error) => self.refused(mid, &error, now, &mut effects),
            Input::Tick => {}
        }
        self.pump(now, &mut effects);
        effects
    }

    fn accept(&mut self, mid: MessageId, to: Uri, plain: Vec<u8>, effects: &mut Vec<Effect>) {
        if self.receivers.contains_key(&mid) || self.receivers.len() >= ENTRIES_MAX {
            effects.push(Effect::NotAccepted(mid));
            return;
        }
        let record = Record::Accepted { mid, to: to.clone(), plain: plain.clone() };
        self.push(mid, to, Stage::Plain { plain, sealing: false });
        self.store(record, Pending::Accept(mid), effects);
    }

    fn disconnected(&mut self) {
        self.online = false;
        self.in_flight = 0;
        for lane in self.lanes.values_mut() {
            lane.broken = false;
            lane.resume_at = None;
            lane.strikes = 0;
            for entry in &mut lane.queue {
                entry.stage = match std::mem::replace(&mut entry.stage, Stage::Ready(Vec::new())) {
                    Stage::InFlight(body) | Stage::Ready(body) => Stage::Ready(body),
                    Stage::Plain { plain, .. } => Stage::Plain { plain, sealing: false },
                    Stage::Syncing(body) => Stage::Syncing(body),
                };
            }
        }
    }

    fn stored(&mut self, upto: u64, effects: &mut Vec<Effect>) {
        while self.stores.front().is_some_and(|(token, _)| *token <= upto) {
            match self.stores.pop_front() {
                Some((_, Pending::Accept(mid))) => effects.push(Effect::Accepted(mid)),
                Some((_, Pending::Seal(mid))) => {
                    if let Some(Stage::Syncing(body)) = self.stage(mid).cloned() {
                        self.set(mid, Stage::Ready(body));
                    }
                }
                Some((_, Pending::Finish)) | None => {}
            }
        }
    }

    fn store_failed(&mut self, token: u64, now: Mono, effects: &mut Vec<Effect>) {
        let Some(at) = self.stores.iter().position(|(t, _)| *t == token) else { return };
        match self.stores.remove(at) {
            Some((_, Pending::Accept(mid))) => {
                self.remove(mid);
                effects.push(Effect::NotAccepted(mid));
            }
            Some((_, Pending::Seal(mid))) => {
                // The same bytes are written again later; the envelope stays the one there is.
                if let Some(Stage::Syncing(body)) = self.stage(mid).cloned()
                    && let Some(to) = self.receivers.get(&mid).cloned()
                {
                    self.store(
                        Record::Sealed { mid, to: to.clone(), body },
                        Pending::Seal(mid),
                        effects,
                    );
                    self.pause(&to, now.plus(RETRY));
                }
            }
            Some((_, Pending::Finish)) | None => {}
        }
    }

    fn sealed(&mut self, mid: MessageId, body: Vec<u8>, effects: &mut Vec<Effect>) {
        let waits = matches!(self.stage(mid), Some(Stage::Plain { .. }));
        let Some(to) = self.receivers.get(&mid).cloned().filter(|_| waits) else { return };
        self.set(mid, Stage::Syncing(body.clone()));
        self.store(Record::Sealed { mid, to, body }, Pending::Seal(mid), effects);
    }

    fn seal_failed(
        &mut self,
        mid: MessageId,
        why: Result<Duration, (String, String)>,
        now: Mono,
        effects: &mut Vec<Effect>,
    ) {
        let Some(to) = self.receivers.get(&mid).cloned() else { return };
        match why {
            Ok(after) => {
                if let Some(Stage::Plain { plain, .. }) = self.stage(mid).cloned() {
                    self.set(mid, Stage::Plain { plain, sealing: false });
                }
                self.pause(&to, now.plus(after));
            }
            Err((code, text)) => self.fail(mid, code, text, effects),
        }
    }

    fn confirmed(&mut self, mid: MessageId, effects: &mut Vec<Effect>) {
        if matches!(self.stage(mid), Some(Stage::InFlight(_))) {
            self.in_flight -= 1;
        }
        if let Some(to) = self.remove(mid) {
            if let Some(lane) = self.lanes.get_mut(&to) {
                lane.strikes = 0;
            }
            self.store(Record::Finished { mid }, Pending::Finish, effects);
        }
    }

    fn refused(&mut self, mid: MessageId, error: &ErrorBody, now: Mono, effects: &mut Vec<Effect>) {
        let Some(Stage::InFlight(body)) = self.stage(mid).cloned() else { return };
        let Some(to) = self.receivers.get(&mid).cloned() else { return };
        self.in_flight -= 1;
        let first = self.lanes.get(&to).and_then(|l| l.queue.front()).is_some_and(|e| e.mid == mid);
        match fate(error) {
            Fate::Repeat(after) => {
                self.set(mid, Stage::Ready(body));
                self.pause(&to, now.plus(after));
            }
            Fate::Behind => {
                self.set(mid, Stage::Ready(body));
                self.pause(&to, now);
                if first && self.strike(&to) {
                    effects.push(Effect::Reconnect);
                }
            }
            Fate::Never => {
                let code = crate::error::code_word(error.code);
                self.fail(mid, code, error.text.clone(), effects);
                self.pause(&to, now);
            }
        }
    }

    /// Counts an `order-broken` for a message with nothing before it.
    fn strike(&mut self, to: &Uri) -> bool {
        let Some(lane) = self.lanes.get_mut(to) else { return false };
        lane.strikes += 1;
        lane.strikes >= STRIKES
    }

    fn fail(&mut self, mid: MessageId, code: String, text: String, effects: &mut Vec<Effect>) {
        if self.remove(mid).is_some() {
            self.store(Record::Finished { mid }, Pending::Finish, effects);
            effects.push(Effect::Failed(mid, code, text));
        }
    }

    fn pause(&mut self, to: &Uri, until: Mono) {
        if let Some(lane) = self.lanes.get_mut(to) {
            lane.broken = true;
            lane.resume_at = lane.resume_at.max(Some(until));
        }
    }

    /// Starts whatever may start now.
    fn pump(&mut self, now: Mono, effects: &mut Vec<Effect>) {
        if !self.online {
            return;
        }
        let mut wake: Option<Mono> = None;
        for (to, lane) in &mut self.lanes {
            if lane.broken {
                let flying = lane.queue.iter().any(|e| matches!(e.stage, Stage::InFlight(_)));
                match lane.resume_at {
                    _ if flying => continue,
                    Some(at) if at > now => {
                        wake = Some(wake.map_or(at, |w| w.min(at)));
                        continue;
                    }
                    Some(_) | None => {
                        lane.broken = false;
                        lane.resume_at = None;
                    }
                }
            }
            pump_lane(to, lane, &mut self.in_flight, effects);
        }
        effects.extend(wake.map(Effect::WakeAt));
    }

    fn store(&mut self, record: Record, pending: Pending, effects: &mut Vec<Effect>) {
        self.token += 1;
        self.stores.push_back((self.token, pending));
        effects.push(Effect::Store(self.token, vec![record]));
    }

    fn push(&mut self, mid: MessageId, to: Uri, stage: Stage) {
        self.receivers.insert(mid, to.clone());
        self.lanes.entry(to).or_default().queue.push_back(Entry { mid, stage });
    }

    fn remove(&mut self, mid: MessageId) -> Option<Uri> {
        let to = self.receivers.remove(&mid)?;
        if let Some(lane) = self.lanes.get_mut(&to) {
            lane.queue.retain(|e| e.mid != mid);
            if lane.queue.is_empty() {
                self.lanes.remove(&to);
            }
        }
        Some(to)
    }

    fn stage(&self, mid: MessageId) -> Option<&Stage> {
        let lane = self.lanes.get(self.receivers.get(&mid)?)?;
        lane.queue.iter().find(|e| e.mid == mid).map(|e| &e.stage)
    }

    fn set(&mut self, mid: MessageId, stage: Stage) {
        let lane = self.receivers.get(&mid).and_then(|to| self.lanes.get_mut(to));
        if let Some(entry) = lane.and_then(|l| l.queue.iter_mut().find(|e| e.mid == mid)) {
            entry.stage = stage;
        }
    }
}

/// Posts in order up to the window; seals what comes next, also in order.
fn pump_lane(to: &Uri, lane: &mut Lane, in_flight: &mut usize, effects: &mut Vec<Effect>) {
    let mut may_post = true;
    for entry in lane.queue.iter_mut().take(LANE_WINDOW) {
        match &mut entry.stage {
            Stage::InFlight(_) => {}
            Stage::Ready(body) if may_post && *in_flight < WINDOW => {
                let body = std::mem::take(body);
                effects.push(Effect::Post(entry.mid, to.clone(), body.clone()));
                entry.stage = Stage::InFlight(body);
                *in_flight += 1;
            }
            Stage::Ready(_) | Stage::Syncing(_) => may_post = false,
            Stage::Plain { plain, sealing } => {
                may_post = false;
                if !*sealing {
                    *sealing = true;
                    effects.push(Effect::Seal(entry.mid, to.clone(), plain.clone()));
                }
            }
        }
    }
}

enum Fate {
    Repeat(Duration),
    /// An earlier one failed: repeat after it.
    Behind,
    Never,
}

fn fate(error: &ErrorBody) -> Fate {
    let after = error.retry_ms.map(Duration::from_millis);
    match error.code {
        ErrorCode::OrderBroken => Fate::Behind,
        ErrorCode::Unavailable
        | ErrorCode::RateLimited
        | ErrorCode::DiskFull
        | ErrorCode::Capacity
        | ErrorCode::InFlight
        | ErrorCode::NotAttached
        | ErrorCode::Internal => Fate::Repeat(after.unwrap_or(RETRY)),
        ErrorCode::Malformed
        | ErrorCode::UnknownOp
        | ErrorCode::BadArgument
        | ErrorCode::TooLarge
        | ErrorCode::Denied
        | ErrorCode::NotFound
        | ErrorCode::Gone
        | ErrorCode::NotAllowed
        | ErrorCode::IdConflict
        | ErrorCode::IdTooOld
        | ErrorCode::Quota
        | ErrorCode::RelayLimit => after.map_or(Fate::Never, Fate::Repeat),
    }
}

#[cfg(test)]
mod tests;
