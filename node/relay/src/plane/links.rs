//! The bounded rings of one thread.

use rtrb::{Consumer, Producer, RingBuffer};

use crate::message::{Command, PeerMessage, Report};

/// Places in the ring between two threads.
const PEER_MESSAGES: usize = 1024;
/// Places in the ring from a thread to the control side.
pub(crate) const REPORTS: usize = 1024;
/// Messages taken from one ring in one round, so that media is never kept waiting.
pub(super) const PER_ROUND: usize = 128;

/// A thread's ends of its rings.
pub(crate) struct Links {
    pub(crate) commands: Consumer<Command>,
    pub(crate) reports: Producer<Report>,
    /// To each thread; `None` for itself.
    pub(crate) to: Vec<Option<Producer<PeerMessage>>>,
    /// From each thread; `None` for itself.
    pub(crate) from: Vec<Option<Consumer<PeerMessage>>>,
    /// Messages put on the ring to each thread, and taken from the ring of each.
    sent: Vec<u64>,
    taken: Vec<u64>,
    wake_threads: u64,
    wake_control: bool,
}

/// Both directions between threads.
pub(crate) struct PeerLinks {
    pub(crate) to: Vec<Option<Producer<PeerMessage>>>,
    pub(crate) from: Vec<Option<Consumer<PeerMessage>>>,
}

/// Rings from every thread to every other.
pub(crate) fn mesh(threads: usize) -> Vec<PeerLinks> {
    let empty = || PeerLinks {
        to: (0..threads).map(|_| None).collect(),
        from: (0..threads).map(|_| None).collect(),
    };
    let mut all: Vec<PeerLinks> = (0..threads).map(|_| empty()).collect();
    for from in 0..threads {
        for to in (0..threads).filter(|to| *to != from) {
            let (producer, consumer) = RingBuffer::new(PEER_MESSAGES);
            all[from].to[to] = Some(producer);
            all[to].from[from] = Some(consumer);
        }
    }
    all
}

impl Links {
    pub(crate) fn new(
        commands: Consumer<Command>,
        reports: Producer<Report>,
        peers: PeerLinks,
    ) -> Self {
        let PeerLinks { to, from } = peers;
        let (sent, taken) = (vec![0; to.len()], vec![0; from.len()]);
        Self { commands, reports, to, from, sent, taken, wake_threads: 0, wake_control: false }
    }

    /// The message's number on its ring, from 1; `None` when the ring is full.
    pub(super) fn send(&mut self, thread: usize, message: PeerMessage) -> Option<u64> {
        let ring = self.to.get_mut(thread)?.as_mut()?;
        self.wake_threads |= 1 << thread;
        ring.push(message).ok()?;
        self.sent[thread] += 1;
        Some(self.sent[thread])
    }

    /// The next message of a thread.
    pub(super) fn take(&mut self, thread: usize) -> Option<PeerMessage> {
        let message = self.from.get_mut(thread)?.as_mut()?.pop().ok()?;
        self.taken[thread] += 1;
        Some(message)
    }

    /// Messages taken from a thread so far.
    pub(super) fn taken(&self, thread: usize) -> u64 {
        self.taken.get(thread).copied().unwrap_or(0)
    }

    /// False when the ring is full.
    pub(super) fn report(&mut self, report: Report) -> bool {
        self.wake_control = true;
        self.reports.push(report).is_ok()
    }

    pub(super) fn take_wakes(&mut self) -> (u64, bool) {
        (std::mem::take(&mut self.wake_threads), std::mem::take(&mut self.wake_control))
    }
}
