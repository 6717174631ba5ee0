//! What clients do and why they are refused: the columns of `show attach`, `show message` and
//! `show updates` as series, failures told apart by closed lists of words.

use metrics::Counter;

use super::Labelled;

/// Figures of attaches, messages and updates. [`Default`] counts into nothing.
#[derive(Debug, Clone)]
pub struct TrafficMetrics {
    /// Denied attaches by reason.
    pub denied: Labelled,
    /// Failed TLS handshakes by reason, [`crate::listener::FAILURES`].
    pub handshakes: Labelled,
    /// Connections that ended before their first byte, as probes do.
    pub unused: Counter,
    /// Messages confirmed to their senders, repetitions left out.
    pub posted: Counter,
    /// Posts that had been confirmed before.
    pub repeated: Counter,
    /// Posts refused, by the error of the protocol.
    pub refused: Labelled,
    /// Messages handed to their receivers, each time that they are.
    pub delivered: Counter,
    /// Messages acknowledged by their receivers.
    pub acked: Counter,
    /// Key updates noted as offered to a user.
    pub offered: Counter,
    /// Key updates noted as confirmed by a user.
    pub confirmed: Counter,
}

impl Default for TrafficMetrics {
    fn default() -> Self {
        let noop = Counter::noop;
        Self {
            denied: Labelled::default(),
            handshakes: Labelled::default(),
            unused: noop(),
            posted: noop(),
            repeated: noop(),
            refused: Labelled::default(),
            delivered: noop(),
            acked: noop(),
            offered: noop(),
            confirmed: noop(),
        }
    }
}
