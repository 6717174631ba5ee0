//! Attaches, messages, updates and failed handshakes (Q-51, U33).

use std::sync::Arc;

use crs_actors::NodeContext;
use crs_actors::listener::FAILURES;
use crs_actors::metrics::{Labelled, TrafficMetrics};
use crs_ops::Metrics;
use crs_types::Period;

/// The wire's words of `DeniedReason`.
const DENIED: &[&str] = &[
    "not-listed",
    "blacklisted",
    "account-not-loaded",
    "too-many",
    "update-required",
    "revoked",
    "node-drain",
    "not-authorised",
];
/// The wire's words of `ErrorCode` with which a post may be refused.
const REFUSED: &[&str] = &[
    "not-found",
    "id-conflict",
    "id-too-old",
    "too-large",
    "quota",
    "unavailable",
    "disk-full",
    "internal",
];

/// Handles of what clients do.
pub(super) fn handles(metrics: &Metrics) -> TrafficMetrics {
    let counter = |name, help| metrics.counter(name, help, &[]);
    let reasons = |words, name, help| {
        Labelled::new(words, |word| metrics.counter(name, help, &[("reason", word)]))
    };
    let updates = |note| {
        let help = "Key updates noted for a user, by what happened to them.";
        metrics.counter("crs_updates_total", help, &[("note", note)])
    };
    TrafficMetrics {
        denied: reasons(DENIED, "crs_attaches_denied_total", "Denied attaches, by reason."),
        handshakes: reasons(
            FAILURES,
            "crs_handshake_failures_total",
            "Handshakes that failed, by reason.",
        ),
        unused: counter(
            "crs_connections_unused_total",
            "Connections that ended without a byte, as probes do.",
        ),
        posted: counter("crs_messages_posted_total", "Messages confirmed to their senders."),
        repeated: counter(
            "crs_messages_repeated_total",
            "Posts that had been confirmed before, confirmed again.",
        ),
        refused: reasons(REFUSED, "crs_messages_refused_total", "Posts refused, by reason."),
        delivered: counter("crs_messages_delivered_total", "Messages handed to their receivers."),
        acked: counter("crs_messages_acked_total", "Messages acknowledged by their receivers."),
        offered: updates("offered"),
        confirmed: updates("confirmed"),
    }
}

/// Accounts and how many of them have the update of this month and of the next: the columns of
/// `show updates`, as numbers that do not grow with accounts.
pub fn accounts(metrics: &Metrics, context: &Arc<NodeContext>) {
    let context = Arc::downgrade(context);
    let gauge = |month| {
        let help = "Accounts that have the update of a month.";
        metrics.gauge("crs_accounts_with_update", help, &[("month", month)])
    };
    let (current, next) = (gauge("current"), gauge("next"));
    let all = metrics.gauge("crs_accounts", "Accounts that are loaded.", &[]);
    metrics.on_scrape(move || {
        let Some(context) = context.upgrade() else { return };
        let (view, month) = (context.accounts.view(), Period::at(context.clock.now()));
        let with = |period| {
            let has = |a: &&Arc<crs_actors::accounts::Account>| a.periods.contains_key(&period);
            view.accounts.values().filter(has).count() as f64
        };
        all.set(view.accounts.len() as f64);
        current.set(with(month));
        next.set(with(month.next()));
    });
}

#[cfg(test)]
mod tests {
    use crs_proto::wire::life::DeniedReason as D;
    use crs_proto::wire::word;

    use super::*;

    #[test]
    fn every_denial_has_a_series() {
        let all = [
            D::NotListed,
            D::Blacklisted,
            D::AccountNotLoaded,
            D::TooMany,
            D::UpdateRequired,
            D::Revoked,
            D::NodeDrain,
            D::NotAuthorised,
        ];
        assert_eq!(all.map(|reason| word(&reason)).as_slice(), DENIED);
        let metrics = Metrics::default();
        handles(&metrics).denied.count("blacklisted");
        let text = metrics.render();
        assert!(text.contains("crs_attaches_denied_total{reason=\"blacklisted\"} 1"), "{text}");
        assert!(text.contains("crs_attaches_denied_total{reason=\"revoked\"} 0"), "{text}");
    }
}
