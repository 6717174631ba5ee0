//! The trace hub: fans events out to those who listen, each with a bounded ring of its own.
//!
//! When nobody listens, [`TraceSink::enabled`] is one relaxed load and nothing else happens. A
//! slow listener loses its oldest events, is told how many at the place where they are missing,
//! and never holds up anybody.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crs_ops::log::LogTap;
use crs_types::Timestamp;
use metrics::Counter;
use tokio::sync::Notify;

use super::{DebugEvent, Filter, TraceEvent, TraceSink};

/// Events that wait for one listener; beyond that the oldest are dropped and counted.
pub const RING: usize = 4096;
/// Listeners at once; more are refused.
pub const LISTENERS_MAX: usize = 32;

/// The hub of one node.
#[derive(Debug)]
pub struct TraceHub {
    listening: AtomicUsize,
    listeners: Mutex<Vec<Arc<Ring>>>,
    events: Counter,
    dropped: Counter,
}

/// A listener's place at the hub; leaving is dropping it.
#[derive(Debug)]
pub struct Subscription {
    hub: Arc<TraceHub>,
    ring: Arc<Ring>,
}

/// What a listener gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Traced {
    /// An event.
    Event(Arc<TraceEvent>),
    /// This many events are missing here.
    Dropped(u64),
}

/// The hub has [`LISTENERS_MAX`] listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{LISTENERS_MAX} traces are running already")]
pub struct TooManyListeners;

impl TraceHub {
    /// A hub that counts the events its listeners lose.
    pub fn new(events: Counter, dropped: Counter) -> Arc<Self> {
        Arc::new(Self {
            listening: AtomicUsize::new(0),
            listeners: Mutex::new(Vec::new()),
            events,
            dropped,
        })
    }

    /// Starts to listen: every matching event emitted from now on is seen or counted as dropped.
    pub fn subscribe(self: &Arc<Self>, filter: Filter) -> Result<Subscription, TooManyListeners> {
        let mut listeners = lock(&self.listeners);
        if listeners.len() >= LISTENERS_MAX {
            return Err(TooManyListeners);
        }
        let ring = Arc::new(Ring { filter, waiting: Mutex::default(), ready: Notify::new() });
        listeners.push(Arc::clone(&ring));
        self.listening.store(listeners.len(), Ordering::Release);
        drop(listeners);
        Ok(Subscription { hub: Arc::clone(self), ring })
    }

    /// Listeners now.
    pub fn listeners(&self) -> usize {
        self.listening.load(Ordering::Acquire)
    }
}

impl TraceSink for TraceHub {
    fn enabled(&self) -> bool {
        self.listening.load(Ordering::Relaxed) > 0
    }

    fn emit(&self, event: TraceEvent) {
        if !TraceSink::enabled(self) {
            return;
        }
        let event = Arc::new(event);
        for ring in lock(&self.listeners).iter().filter(|ring| ring.filter.matches(&event)) {
            self.events.increment(1);
            if ring.push(Arc::clone(&event)) {
                self.dropped.increment(1);
            }
        }
    }
}

/// `trace event` shows what `crs.log` gets (C-362…C-366).
impl LogTap for TraceHub {
    fn enabled(&self) -> bool {
        TraceSink::enabled(self)
    }

    fn record(&self, time: Timestamp, module: &str, information: &str) {
        let (module, information) = (module.to_owned(), information.to_owned());
        self.emit(TraceEvent::Event(DebugEvent { time, module, information }));
    }
}

impl Subscription {
    /// The next event, or the number of those that are missing before it. Cancel-safe.
    pub async fn next(&self) -> Traced {
        loop {
            if let Some(traced) = self.try_next() {
                return traced;
            }
            // A push between the look above and this wait has left its permit.
            self.ring.ready.notified().await;
        }
    }

    /// The next event if there is one.
    pub fn try_next(&self) -> Option<Traced> {
        let mut waiting = lock(&self.ring.waiting);
        match std::mem::take(&mut waiting.dropped) {
            0 => waiting.events.pop_front().map(Traced::Event),
            dropped => Some(Traced::Dropped(dropped)),
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut listeners = lock(&self.hub.listeners);
        listeners.retain(|ring| !Arc::ptr_eq(ring, &self.ring));
        self.hub.listening.store(listeners.len(), Ordering::Release);
    }
}

#[derive(Debug)]
struct Ring {
    filter: Filter,
    waiting: Mutex<Waiting>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Arc<TraceEvent>>,
    dropped: u64,
}

impl Ring {
    /// True when an older event had to go.
    fn push(&self, event: Arc<TraceEvent>) -> bool {
        let mut waiting = lock(&self.waiting);
        let full = waiting.events.len() >= RING;
        if full {
            waiting.events.pop_front();
            waiting.dropped += 1;
        }
        waiting.events.push_back(event);
        drop(waiting);
        self.ready.notify_one();
        full
    }
}

/// No code that can panic runs under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(n: u64) -> TraceEvent {
        TraceEvent::Event(DebugEvent {
            time: Timestamp::from_millis(n),
            module: "test".to_owned(),
            information: n.to_string(),
        })
    }

    #[test]
    fn nothing_happens_while_nobody_listens() {
        let hub = TraceHub::new(Counter::noop(), Counter::noop());
        assert!(!TraceSink::enabled(&*hub));
        hub.emit(event(1));
        let listener = hub.subscribe(Filter::Event).unwrap();
        assert!(TraceSink::enabled(&*hub));
        assert_eq!(listener.try_next(), None);
        drop(listener);
        assert!(!TraceSink::enabled(&*hub));
    }

    #[test]
    fn a_slow_listener_loses_the_oldest_and_is_told_where() {
        let hub = TraceHub::new(Counter::noop(), Counter::noop());
        let listener = hub.subscribe(Filter::Event).unwrap();
        (0..RING as u64 + 3).for_each(|n| hub.emit(event(n)));
        assert_eq!(listener.try_next(), Some(Traced::Dropped(3)));
        assert_eq!(listener.try_next(), Some(Traced::Event(Arc::new(event(3)))));
        assert_eq!(std::iter::from_fn(|| listener.try_next()).count(), RING - 1);
    }

    #[test]
    fn listeners_are_limited_and_see_only_their_element() {
        let hub = TraceHub::new(Counter::noop(), Counter::noop());
        let all: Vec<_> =
            (0..LISTENERS_MAX).map(|_| hub.subscribe(Filter::Attach).unwrap()).collect();
        assert_eq!(hub.subscribe(Filter::Event).unwrap_err(), TooManyListeners);
        hub.emit(event(1));
        assert!(all.iter().all(|listener| listener.try_next().is_none()));
    }

    #[tokio::test]
    async fn a_waiting_listener_is_woken() {
        let hub = TraceHub::new(Counter::noop(), Counter::noop());
        let listener = hub.subscribe(Filter::Event).unwrap();
        let emitter = Arc::clone(&hub);
        let (got, ()) = tokio::join!(listener.next(), async move { emitter.emit(event(9)) });
        assert_eq!(got, Traced::Event(Arc::new(event(9))));
    }
}
