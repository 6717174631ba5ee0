//! Counters that a test can read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::Counter;

use crate::listener::FAILURES;
use crate::metrics::{Labelled, NodeMetrics, TrafficMetrics};

/// Counters by name.
#[derive(Clone, Default)]
pub(crate) struct Counts(Arc<Mutex<BTreeMap<&'static str, Arc<AtomicU64>>>>);

impl Counts {
    fn counter(&self, name: &'static str) -> Counter {
        Counter::from_arc(Arc::clone(self.0.lock().unwrap().entry(name).or_default()))
    }

    /// Handles of which those of traffic are counted here.
    pub(crate) fn metrics(&self) -> NodeMetrics {
        let traffic = TrafficMetrics {
            handshakes: Labelled::new(FAILURES, |word| self.counter(word)),
            denied: Labelled::new(&["blacklisted", "not-listed"], |word| self.counter(word)),
            unused: self.counter("unused"),
            posted: self.counter("posted"),
            repeated: self.counter("repeated"),
            refused: Labelled::new(&["id-conflict"], |word| self.counter(word)),
            delivered: self.counter("delivered"),
            acked: self.counter("acked"),
            offered: self.counter("offered"),
            confirmed: self.counter("confirmed"),
        };
        NodeMetrics { traffic, ..NodeMetrics::default() }
    }

    /// What has been counted, zeros left out.
    pub(crate) fn all(&self) -> BTreeMap<&'static str, u64> {
        let counts = self.0.lock().unwrap();
        let read = counts.iter().map(|(name, count)| (*name, count.load(Ordering::SeqCst)));
        read.filter(|(_, count)| *count > 0).collect()
    }
}
