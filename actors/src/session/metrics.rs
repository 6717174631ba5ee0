//! Metric handles of sessions.

use std::fmt;
use std::sync::Arc;

use crs_proto::session::End;
use metrics::{Counter, Gauge};

/// Counts sessions. [`Default`] counts into nothing.
#[derive(Clone)]
pub struct SessionMetrics {
    /// Sessions begun.
    pub started: Counter,
    /// Sessions that have not ended.
    pub active: Gauge,
    /// Counts an end by reason, who and stage (`crs_call_ends_total`).
    pub ended: Arc<dyn Fn(&End) + Send + Sync>,
}

impl Default for SessionMetrics {
    fn default() -> Self {
        Self { started: Counter::noop(), active: Gauge::noop(), ended: Arc::new(|_| {}) }
    }
}

impl fmt::Debug for SessionMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionMetrics").finish_non_exhaustive()
    }
}
