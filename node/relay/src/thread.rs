//! One pinned thread: sockets in, plane, sockets out.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crs_types::Clock;
use crs_udp::{Batch, BatchShape, Poller, Socket, Waker};

use crate::cells::ThreadCells;
use crate::message::AddLeg;
use crate::plane::{Forward, Plane, Transmit, Verdict};

/// Timers run in one round, so that media is never kept waiting.
const TIMERS_PER_ROUND: usize = 256;
/// Tag of packets made here.
const OWN: u32 = u32::MAX;

/// Called when a thread has put something on its ring for the control side. Must not block.
pub type Notify = Arc<dyn Fn() + Send + Sync>;

/// What a thread runs on.
pub(crate) struct ThreadParts {
    pub(crate) name: String,
    pub(crate) cpu: Option<usize>,
    pub(crate) clock: Arc<dyn Clock>,
    /// One socket per local address, shared with the owner of the descriptors.
    pub(crate) sockets: Vec<Arc<Socket>>,
    pub(crate) shape: BatchShape,
    pub(crate) poller: Poller,
    pub(crate) plane: Plane,
    pub(crate) cells: Arc<ThreadCells>,
    /// Wakers of all threads, by number.
    pub(crate) wakers: Vec<Waker>,
    pub(crate) notify: Notify,
    /// Legs that live on over a restart.
    pub(crate) legs: Vec<AddLeg>,
}

/// Starts the thread.
pub(crate) fn spawn(parts: ThreadParts) -> io::Result<JoinHandle<io::Result<()>>> {
    let builder = std::thread::Builder::new().name(parts.name.clone());
    builder.spawn(move || {
        if let Some(cpu) = parts.cpu {
            crs_udp::thread::pin_to(cpu)?;
        }
        parts.cells.thread_id.set(u64::from(crs_udp::thread::thread_id().unsigned_abs()));
        let end = Arc::clone(&parts.notify);
        let _told = TellEnd(end);
        Worker::new(parts)?.run()
    })
}

/// Wakes the control side when the thread ends, by whatever way.
struct TellEnd(Notify);

impl Drop for TellEnd {
    fn drop(&mut self) {
        (self.0)();
    }
}

struct Worker {
    clock: Arc<dyn Clock>,
    sockets: Vec<Arc<Socket>>,
    poller: Poller,
    plane: Plane,
    wakers: Vec<Waker>,
    notify: Notify,
    batch: Batch,
    messages: usize,
}

impl Worker {
    fn new(parts: ThreadParts) -> io::Result<Self> {
        let mut poller = parts.poller;
        for socket in &parts.sockets {
            poller.add(socket)?;
        }
        let mut plane = parts.plane;
        let now = parts.clock.mono().as_micros();
        for leg in parts.legs {
            plane.add(leg, now);
        }
        Ok(Self {
            clock: parts.clock,
            sockets: parts.sockets,
            poller,
            plane,
            wakers: parts.wakers,
            notify: parts.notify,
            batch: Batch::new(parts.shape),
            messages: parts.shape.messages,
        })
    }

    fn run(mut self) -> io::Result<()> {
        // Sockets whose last batch was full are read again without asking the kernel first.
        let mut full = 0u32;
        loop {
            if full == 0 {
                let timeout = self.timeout();
                full = self.poller.wait(timeout)?.sockets;
            }
            let now = self.clock.mono().as_micros();
            if !self.plane.commands(now) {
                return Ok(());
            }
            self.plane.peers();
            let mut ready = full;
            full = 0;
            while ready != 0 {
                let local = ready.trailing_zeros() as usize;
                ready &= ready - 1;
                if self.receive(local, now)? == self.messages {
                    full |= 1 << local;
                }
            }
            self.timers(now);
            self.wake_others();
        }
    }

    /// How long to wait: not at all while a ring holds more than one round's messages.
    fn timeout(&self) -> Option<Duration> {
        if self.plane.has_messages() {
            return Some(Duration::ZERO);
        }
        self.plane.wait(self.clock.mono().as_micros()).map(Duration::from_micros)
    }

    /// One batch of one socket; returns how many messages it had.
    fn receive(&mut self, local: usize, now: u64) -> io::Result<usize> {
        let Some(socket) = self.sockets.get(local) else { return Ok(0) };
        let count = self.batch.recv(socket)?;
        if count > 0 {
            // What another thread told before these packets were sent must be known before they are
            // judged: a client that has moved away and back would be answered as still bound.
            self.plane.peers();
        }
        for index in 0..count {
            self.message(index, local, now);
        }
        self.flush();
        Ok(count)
    }

    /// One received message: mostly one datagram, several when the kernel joined them.
    fn message(&mut self, index: usize, local: usize, now: u64) {
        let Some((mut at, total)) = self.batch.datagram(index).map(|d| (0, d.bytes.len())) else {
            return;
        };
        loop {
            let Some(datagram) = self.batch.datagram(index) else { return };
            let end = (at + datagram.segment.max(1)).min(total);
            let Some(bytes) = datagram.bytes.get(at..end) else { return };
            match self.plane.media(now, datagram.from, bytes) {
                Verdict::Drop => {}
                Verdict::Forward(forward) => self.forward(index, at, forward),
                Verdict::Stun => {
                    let made = self.plane.stun(now, local as u8, datagram.from, bytes);
                    if let Some(transmit) = made {
                        self.transmit(&transmit);
                    }
                }
            }
            at = end;
            if at >= total {
                return;
            }
        }
    }

    fn forward(&mut self, index: usize, at: usize, forward: Forward) {
        let Forward { to, local, tag, length, channel } = forward;
        if channel != 0
            && let Some(head) = self.batch.bytes_mut(index).get_mut(at..at + 2)
        {
            head.copy_from_slice(&channel.to_be_bytes());
        }
        let range = at..at + length;
        if self.batch.forward(index, range.clone(), usize::from(local), to, tag) {
            return;
        }
        self.flush();
        if !self.batch.forward(index, range, usize::from(local), to, tag) {
            self.plane.refused(tag, 1, length as u64);
        }
    }

    fn transmit(&mut self, made: &Transmit) {
        let Transmit { to, local, packet } = made;
        let bytes = packet.as_bytes();
        if !self.batch.push(bytes, usize::from(*local), *to, OWN) {
            self.plane.refused(OWN, 1, bytes.len() as u64);
        }
    }

    fn flush(&mut self) {
        let plane = &mut self.plane;
        for (local, socket) in self.sockets.iter().enumerate() {
            let refused = |tag, packets, bytes| plane.refused(tag, packets, bytes);
            self.batch.flush(local, socket, refused);
        }
    }

    fn timers(&mut self, now: u64) {
        let mut begun = false;
        for _ in 0..TIMERS_PER_ROUND {
            let Some(due) = self.plane.tick(now) else { break };
            let Some(transmit) = due else { continue };
            if !begun {
                self.batch.begin();
                begun = true;
            }
            self.transmit(&transmit);
        }
        if begun {
            self.flush();
        }
    }

    fn wake_others(&mut self) {
        let (threads, control) = self.plane.take_wakes();
        for (thread, waker) in self.wakers.iter().enumerate() {
            if threads & (1 << thread) != 0 {
                waker.wake();
            }
        }
        if control {
            (self.notify)();
        }
    }
}
