//! The inbox: fetch, write to disk, only then acknowledge, hand to the application once.
//!
//! Feed [`Inbox::handle`] and run the effects in order. A cycle is fetch → store → ack; losing
//! the connection or the process anywhere leaves items at the server, which come again, are
//! recognised by their id and acknowledged without being handed out twice.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crs_types::limits::ACK_MAX;
use crs_types::{AccountId, MessageId, Mono, Timestamp, Uri};
use serde::{Deserialize, Serialize};

/// Ids remembered to recognise repetitions, beyond those still pending here.
pub const SEEN_MAX: usize = 65_536;
/// Entries that wait here for the application; beyond, nothing more is fetched.
pub const PENDING_MAX: usize = 4096;
const RETRY: Duration = Duration::from_secs(1);

/// What makes an item the same item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// True for a receipt, false for content.
    pub receipt: bool,
    /// Account of the sender (or of the acknowledger).
    pub account: AccountId,
    /// The sender (or the acknowledger).
    pub from: Uri,
    /// The message.
    pub mid: MessageId,
}

/// An item as kept on disk, opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Identity.
    pub key: Key,
    /// The server's time.
    pub time: Timestamp,
    /// Content, or why it could not be opened; empty for receipts.
    pub content: Result<Vec<u8>, String>,
}

/// A record of the inbox journal. The order of variants is part of the format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// An item arrived.
    Entry(u64, Entry),
    /// The application has dealt with it.
    Done(u64),
    /// Compaction: an id that was dealt with.
    Seen(Key),
    /// Compaction: numbers below this were used.
    NextSeq(u64),
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Registered: there may be items.
    Attached,
    /// The connection is gone.
    Disconnected,
    /// Event `msg.new`.
    News,
    /// Reply to a fetch, opened by the shell: arrival numbers and items, and whether there are
    /// more. An item without an entry is of a kind that is only acknowledged.
    Fetched(Vec<(u64, Option<Entry>)>, bool),
    /// The last `Store` is synced.
    Stored,
    /// The last `Store` failed; it was not written.
    StoreFailed,
    /// The last `Ack` was confirmed.
    Acked,
    /// The last fetch or ack was refused; when to try again.
    Refused(Option<Duration>),
    /// The application has dealt with an entry.
    Done(u64),
    /// The time asked for by `WakeAt` has come.
    Tick,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Request `msg.fetch` with this `after`.
    Fetch(u64),
    /// Append to the journal and sync, then `Stored`.
    Store(Vec<Record>),
    /// Append to the journal and sync; the core does not wait for it.
    StoreDone(u64),
    /// Request `msg.ack`.
    Ack(Vec<u64>),
    /// Hand this entry to the application.
    Hand(u64, Entry),
    /// Feed `Tick` at this time.
    WakeAt(Mono),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Idle,
    Fetching,
    Storing { entries: Vec<(u64, Entry)>, acks: Vec<u64>, more: bool },
    Acking { acks: Vec<u64>, rest: Vec<u64>, more: bool },
    Waiting { until: Mono },
}

/// The state machine.
#[derive(Debug)]
pub struct Inbox {
    phase: Phase,
    online: bool,
    /// False for a secondary registration, whose acks the server refuses.
    acknowledges: bool,
    news: bool,
    after: u64,
    next_seq: u64,
    pending: BTreeMap<u64, Entry>,
    seen: BTreeSet<Key>,
    seen_order: VecDeque<Key>,
}

impl Inbox {
    /// From the records of the journal.
    pub fn restore(records: Vec<Record>, acknowledges: bool) -> Self {
        let mut inbox = Self {
            phase: Phase::Idle,
            online: false,
            acknowledges,
            news: false,
            after: 0,
            next_seq: 1,
            pending: BTreeMap::new(),
            seen: BTreeSet::new(),
            seen_order: VecDeque::new(),
        };
        for record in records {
            match record {
                Record::Entry(seq, entry) => inbox.keep(seq, entry),
                Record::Done(seq) => drop(inbox.pending.remove(&seq)),
                Record::Seen(key) => inbox.remember(key),
                Record::NextSeq(seq) => inbox.next_seq = inbox.next_seq.max(seq),
            }
        }
        inbox
    }

    /// Entries the application has not dealt with, oldest first: hand them out after a start.
    pub fn pending(&self) -> impl Iterator<Item = (u64, &Entry)> {
        self.pending.iter().map(|(seq, entry)| (*seq, entry))
    }

    /// Takes an input; run the effects in order.
    pub fn handle(&mut self, input: Input, now: Mono) -> Vec<Effect> {
        match input {
            Input::Attached => self.attached(),
            Input::Disconnected => self.disconnected(),
            Input::News => {
                self.news = true;
                self.next()
            }
            Input::Fetched(items, more) => self.fetched(items, more),
            Input::Stored => self.stored(),
            Input::StoreFailed => self.store_failed(now),
            Input::Acked => self.acked(),
            Input::Refused(retry) => self.refused(retry, now),
            Input::Done(seq) => self.done(seq),
            Input::Tick => self.tick(now),
        }
    }

    /// The content of a compacted journal, in batches.
    pub fn compacted(&self) -> Vec<Vec<Record>> {
        let mut batches = vec![vec![Record::NextSeq(self.next_seq)]];
        for keys in self.seen_order.iter().collect::<Vec<_>>().chunks(4096) {
            batches.push(keys.iter().map(|k| Record::Seen((*k).clone())).collect());
        }
        let entries: Vec<_> =
            self.pending.iter().map(|(seq, e)| Record::Entry(*seq, e.clone())).collect();
        batches.extend(entries.chunks(16).map(<[Record]>::to_vec));
        batches
    }

    fn attached(&mut self) -> Vec<Effect> {
        self.online = true;
        self.news = true;
        // What was fetched but not acknowledged comes again and is acknowledged then.
        self.after = 0;
        self.next()
    }

    fn disconnected(&mut self) -> Vec<Effect> {
        self.online = false;
        match self.phase {
            Phase::Idle | Phase::Storing { .. } => {}
            Phase::Fetching | Phase::Acking { .. } | Phase::Waiting { .. } => {
                self.phase = Phase::Idle;
            }
        }
        Vec::new()
    }

    fn next(&mut self) -> Vec<Effect> {
        let room = self.pending.len() < PENDING_MAX;
        if self.phase != Phase::Idle || !self.online || !self.news || !room {
            return Vec::new();
        }
        self.news = false;
        self.phase = Phase::Fetching;
        vec![Effect::Fetch(self.after)]
    }

    fn fetched(&mut self, items: Vec<(u64, Option<Entry>)>, more: bool) -> Vec<Effect> {
        if self.phase != Phase::Fetching {
            return Vec::new();
        }
        let acks: Vec<u64> = items.iter().map(|(n, _)| *n).collect();
        let mut entries: Vec<(u64, Entry)> = Vec::new();
        for entry in items.into_iter().filter_map(|(_, entry)| entry) {
            let repeated = entries.iter().any(|(_, e)| e.key == entry.key);
            if !self.seen.contains(&entry.key) && !repeated {
                entries.push((self.next_seq, entry));
                self.next_seq += 1;
            }
        }
        if entries.is_empty() {
            return self.acknowledge(acks, more);
        }
        let records = entries.iter().map(|(seq, e)| Record::Entry(*seq, e.clone())).collect();
        self.phase = Phase::Storing { entries, acks, more };
        vec![Effect::Store(records)]
    }

    fn stored(&mut self) -> Vec<Effect> {
        let Phase::Storing { entries, acks, more } =
            std::mem::replace(&mut self.phase, Phase::Idle)
        else {
            return Vec::new();
        };
        let mut effects: Vec<Effect> =
            entries.iter().map(|(seq, e)| Effect::Hand(*seq, e.clone())).collect();
        for (seq, entry) in entries {
            self.keep(seq, entry);
        }
        if self.online {
            effects.extend(self.acknowledge(acks, more));
        }
        effects
    }

    fn store_failed(&mut self, now: Mono) -> Vec<Effect> {
        if !matches!(self.phase, Phase::Storing { .. }) {
            return Vec::new();
        }
        self.wait(None, now)
    }

    fn acknowledge(&mut self, acks: Vec<u64>, more: bool) -> Vec<Effect> {
        self.after = acks.iter().copied().max().unwrap_or(0).max(self.after);
        self.news |= more;
        if acks.is_empty() || !self.acknowledges {
            self.phase = Phase::Idle;
            return self.next();
        }
        self.send_ack(acks, more)
    }

    fn send_ack(&mut self, mut acks: Vec<u64>, more: bool) -> Vec<Effect> {
        let rest = acks.split_off(acks.len().min(ACK_MAX));
        self.phase = Phase::Acking { acks: acks.clone(), rest, more };
        vec![Effect::Ack(acks)]
    }

    fn acked(&mut self) -> Vec<Effect> {
        let Phase::Acking { rest, more, .. } = std::mem::replace(&mut self.phase, Phase::Idle)
        else {
            return Vec::new();
        };
        if rest.is_empty() { self.next() } else { self.send_ack(rest, more) }
    }

    fn refused(&mut self, retry: Option<Duration>, now: Mono) -> Vec<Effect> {
        match self.phase {
            Phase::Fetching | Phase::Acking { .. } => self.wait(retry, now),
            Phase::Idle | Phase::Storing { .. } | Phase::Waiting { .. } => Vec::new(),
        }
    }

    /// Starts over from the oldest item after a pause.
    fn wait(&mut self, retry: Option<Duration>, now: Mono) -> Vec<Effect> {
        let until = now.plus(retry.unwrap_or(RETRY));
        self.after = 0;
        self.news = true;
        self.phase = Phase::Waiting { until };
        vec![Effect::WakeAt(until)]
    }

    fn tick(&mut self, now: Mono) -> Vec<Effect> {
        match self.phase {
            Phase::Waiting { until } if now >= until => {
                self.phase = Phase::Idle;
                self.next()
            }
            Phase::Waiting { until } => vec![Effect::WakeAt(until)],
            Phase::Idle | Phase::Fetching | Phase::Storing { .. } | Phase::Acking { .. } => {
                Vec::new()
            }
        }
    }

    fn done(&mut self, seq: u64) -> Vec<Effect> {
        if self.pending.remove(&seq).is_none() {
            return Vec::new();
        }
        let mut effects = vec![Effect::StoreDone(seq)];
        effects.extend(self.next());
        effects
    }

    fn keep(&mut self, seq: u64, entry: Entry) {
        self.next_seq = self.next_seq.max(seq + 1);
        self.remember(entry.key.clone());
        self.pending.insert(seq, entry);
    }

    fn remember(&mut self, key: Key) {
        if self.seen.insert(key.clone()) {
            self.seen_order.push_back(key);
        }
        if self.seen_order.len() > SEEN_MAX
            && let Some(oldest) = self.seen_order.pop_front()
        {
            self.seen.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests;
