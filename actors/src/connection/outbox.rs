//! What waits to be written to one client: control frames before bulk, then the close.
//!
//! Shared by the connection's actor, which fills it, and its I/O task, which empties it. Empty
//! queues own no memory. The limits are the protocol core's; this only keeps count.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crs_proto::connection::Close;
use metrics::{Counter, Gauge};
use tokio::sync::Notify;

use crate::metrics::QueueMetrics;

/// Something to write.
#[derive(Debug)]
pub(super) enum Out {
    /// A text frame; `bulk` when it goes behind all control frames.
    Frame {
        /// The text.
        text: String,
        /// From the bulk queue.
        bulk: bool,
    },
    /// A WebSocket ping.
    Ping,
    /// Close; nothing is written after it.
    Close(Close),
}

/// The queues of one connection.
pub(super) struct Outbox {
    queues: Mutex<Queues>,
    changed: Notify,
    /// Frames that wait, in all outboxes, and how many there were.
    depth: Gauge,
    offered: Counter,
}

#[derive(Debug, Default)]
struct Queues {
    control: VecDeque<String>,
    bulk: VecDeque<String>,
    ping: bool,
    close: Option<Close>,
    wake: Option<Duration>,
    written: Written,
}

/// What the I/O task has written since the actor last asked.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    /// Frames.
    pub(super) frames: u16,
    /// Their bytes.
    pub(super) bytes: usize,
}

impl Outbox {
    /// An empty outbox that counts its frames.
    pub(super) fn new(metrics: QueueMetrics) -> Self {
        let QueueMetrics { offered, depth, refused: _ } = metrics;
        Self { queues: Mutex::default(), changed: Notify::new(), depth, offered }
    }

    /// Queues a frame. Nothing is accepted after a close.
    pub(super) fn push(&self, text: String, bulk: bool) {
        let mut queues = self.lock();
        if queues.close.is_none() {
            if bulk { &mut queues.bulk } else { &mut queues.control }.push_back(text);
            self.depth.increment(1.0);
            self.offered.increment(1);
        }
        drop(queues);
        self.changed.notify_one();
    }

    /// Asks for a ping.
    pub(super) fn ping(&self) {
        self.lock().ping = true;
        self.changed.notify_one();
    }

    /// Closes behind the control frames that wait; bulk frames are dropped. The first close wins.
    pub(super) fn close(&self, close: Close) {
        let mut queues = self.lock();
        queues.close.get_or_insert(close);
        let dropped = std::mem::take(&mut queues.bulk);
        drop(queues);
        self.depth.decrement(dropped.len() as f64);
        self.changed.notify_one();
    }

    /// Asks for a tick after `wait`.
    pub(super) fn wake_in(&self, wait: Duration) {
        self.lock().wake = Some(wait);
        self.changed.notify_one();
    }

    /// What was written since the last call.
    pub(super) fn take_written(&self) -> Written {
        std::mem::take(&mut self.lock().written)
    }

    /// Waits for a change (I/O task).
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The next thing to write (I/O task).
    pub(super) fn next(&self) -> Option<Out> {
        let mut queues = self.lock();
        if let Some(text) = queues.control.pop_front() {
            self.depth.decrement(1.0);
            if queues.control.is_empty() {
                queues.control = VecDeque::new();
            }
            return Some(Out::Frame { text, bulk: false });
        }
        if let Some(close) = queues.close {
            return Some(Out::Close(close));
        }
        if std::mem::take(&mut queues.ping) {
            return Some(Out::Ping);
        }
        let text = queues.bulk.pop_front()?;
        self.depth.decrement(1.0);
        if queues.bulk.is_empty() {
            queues.bulk = VecDeque::new();
        }
        Some(Out::Frame { text, bulk: true })
    }

    /// A frame of this many bytes was written (I/O task).
    pub(super) fn wrote(&self, bytes: usize) {
        let mut queues = self.lock();
        queues.written.frames = queues.written.frames.saturating_add(1);
        queues.written.bytes = queues.written.bytes.saturating_add(bytes);
    }

    /// The tick that was asked for (I/O task).
    pub(super) fn take_wake(&self) -> Option<Duration> {
        self.lock().wake.take()
    }

    /// A panic while the lock was held cannot have left the queues half changed.
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let queues = self.lock();
        self.depth.decrement((queues.control.len() + queues.bulk.len()) as f64);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn outbox() -> Outbox {
        Outbox::new(QueueMetrics::default())
    }

    #[test]
    fn what_waits_is_counted_until_it_is_taken_or_dropped() {
        let count = Arc::new(AtomicU64::new(0));
        let now = || f64::from_bits(count.load(Ordering::SeqCst));
        let outbox = Outbox::new(QueueMetrics {
            depth: Gauge::from_arc(Arc::clone(&count)),
            ..QueueMetrics::default()
        });
        for bulk in [false, false, true, true] {
            outbox.push("x".into(), bulk);
        }
        assert_eq!(now(), 4.0);
        outbox.next();
        assert_eq!(now(), 3.0);
        outbox.close(Close::Bye);
        assert_eq!(now(), 1.0, "bulk is dropped by the close");
        outbox.push("late".into(), false);
        assert_eq!(now(), 1.0);
        drop(outbox);
        assert_eq!(now(), 0.0);
    }

    fn frames(outbox: &Outbox) -> Vec<String> {
        std::iter::from_fn(|| outbox.next())
            .take(10)
            .map(|out| match out {
                Out::Frame { text, .. } => text,
                Out::Ping => "ping".to_owned(),
                Out::Close(close) => close.reason().to_owned(),
            })
            .collect()
    }

    #[test]
    fn control_overtakes_bulk() {
        let outbox = outbox();
        outbox.push("bulk".into(), true);
        outbox.push("a".into(), false);
        outbox.ping();
        outbox.push("b".into(), false);
        assert_eq!(frames(&outbox), ["a", "b", "ping", "bulk"]);
    }

    #[test]
    fn a_close_is_last_and_final() {
        let outbox = outbox();
        outbox.push("bulk".into(), true);
        outbox.push("last".into(), false);
        outbox.close(Close::Purged);
        outbox.close(Close::Bye);
        outbox.push("late".into(), false);
        assert_eq!(frames(&outbox)[..3], ["last", "purged", "purged"]);
    }

    #[test]
    fn an_idle_outbox_is_small() {
        assert!(size_of::<Outbox>() <= 208, "{}", size_of::<Outbox>());
    }
}
