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
        Self { commands, reports, to, from, wake_threads: 0, wake_control: false }
    }

    /// False when the ring is full.
    pub(super) fn send(&mut self, thread: usize, message: PeerMessage) -> bool {
        let Some(Some(ring)) = self.to.get_mut(thread) else { return true };
        self.wake_threads |= 1 << thread;
        ring.push(message).is_ok()
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
