//! The node's metric handles, built from its recorder and passed to the parts that update them.

mod ends;
mod traffic;

use std::sync::Arc;

use crs_actors::metrics::{
    ConnectionMetrics, ListenerMetrics, NodeMetrics, QueueMetrics, SupervisionMetrics,
};
use crs_actors::session::SessionMetrics;
use crs_ops::Metrics;
use crs_proto::wire::word;
use crs_storage::Store;
use crs_storage::store::StoreMetrics;

pub use traffic::accounts;

/// Handles of the actors.
pub fn node(metrics: &Metrics) -> NodeMetrics {
    NodeMetrics {
        supervision: supervision(metrics),
        listener: listener(metrics),
        connection: connection(metrics),
        traffic: traffic::handles(metrics),
        session_mailbox: queue(metrics, "session"),
        service_mailbox: queue(metrics, "service"),
    }
}

/// Handles of the sessions.
pub fn session(metrics: &Metrics) -> SessionMetrics {
    let ends = metrics.clone();
    SessionMetrics {
        started: metrics.counter("crs_calls_started_total", "Calls begun.", &[]),
        active: metrics.gauge("crs_calls_active", "Calls that have not ended.", &[]),
        ended: Arc::new(move |end| {
            let (reason, who, stage) = (ends::reason(end), word(&end.who), word(&end.stage));
            let labels = [("reason", reason.as_str()), ("who", &who), ("stage", &stage)];
            ends.counter(
                "crs_call_ends_total",
                "Calls ended, by reason, party and stage.",
                &labels,
            )
            .increment(1);
        }),
    }
}

/// What the store counts as it happens.
pub fn store_events(metrics: &Metrics) -> StoreMetrics {
    let sizes = |name, help| metrics.histogram(name, help, &[]);
    StoreMetrics {
        sync_seconds: sizes("crs_store_sync_seconds", "Duration of syncs of the log."),
        sync_writes: sizes("crs_store_sync_writes", "Writes that share one sync."),
        entry_commands: sizes("crs_store_entry_commands", "Commands in one Raft entry."),
        posts: metrics.counter("crs_store_posts_total", "Posts that the store decided about.", &[]),
        receipts: metrics.counter("crs_store_receipts_total", "Receipts stored for users.", &[]),
        receipts_dropped: metrics.counter(
            "crs_store_receipts_dropped_total",
            "Receipts that gave way because too many waited for one user.",
            &[],
        ),
        id_conflicts: metrics.counter(
            "crs_store_id_conflicts_total",
            "Posts refused because their id was used for other content.",
            &[],
        ),
    }
}

/// Figures of the store, read at every scrape.
pub fn store(metrics: &Metrics, store: Store) {
    let gauge = |name, help| metrics.gauge(name, help, &[]);
    let counter = |name, help| metrics.counter(name, help, &[]);
    let log = gauge("crs_store_log_bytes", "Bytes in segments of the write-ahead log.");
    let tables = gauge("crs_store_table_bytes", "Bytes of the tables.");
    let bodies = gauge("crs_store_body_bytes", "Bytes of message bodies in segment files.");
    let free = gauge("crs_store_free_bytes", "Free bytes on the disk of the store.");
    let full = gauge("crs_store_disk_full", "1 while posts are refused for lack of space.");
    let leaders = gauge("crs_store_groups_without_leader", "Raft groups without a known leader.");
    let queued = gauge("crs_store_queued_commands", "Commands that wait to be proposed.");
    let refused =
        counter("crs_store_refused_commands_total", "Commands refused because a queue was full.");
    let syncs = counter("crs_store_syncs_total", "Syncs of the write-ahead log.");
    let sync = gauge("crs_store_last_sync_seconds", "Duration of the last sync.");
    let torn = counter("crs_store_torn_tails_total", "Torn tails of the log cut at the start.");
    let rebuilds = counter("crs_store_table_rebuilds_total", "Rebuilds of the tables.");
    metrics.on_scrape(move || {
        let now = store.status();
        log.set(now.log_bytes as f64);
        tables.set(now.table_bytes as f64);
        bodies.set(now.body_bytes as f64);
        free.set(now.free_bytes as f64);
        full.set(f64::from(u8::from(now.disk_full)));
        leaders.set(now.groups.iter().filter(|group| group.leader.is_none()).count() as f64);
        queued.set(now.groups.iter().map(|group| group.queued).sum::<u64>() as f64);
        refused.absolute(now.groups.iter().map(|group| group.refused).sum());
        syncs.absolute(now.syncs);
        sync.set(now.last_sync_micros as f64 / 1e6);
        torn.absolute(now.torn_tails);
        rebuilds.absolute(now.rebuilds);
    });
}

fn supervision(metrics: &Metrics) -> SupervisionMetrics {
    let counter = |name, help| metrics.counter(name, help, &[]);
    SupervisionMetrics {
        starts: counter("crs_actor_starts_total", "Actors started, restarts too."),
        failures: counter("crs_actor_failures_total", "Actors that panicked or failed."),
        restarts: counter("crs_actor_restarts_total", "Actors restarted."),
        escalations: counter(
            "crs_actor_escalations_total",
            "Failures handed to a parent supervisor.",
        ),
    }
}

fn listener(metrics: &Metrics) -> ListenerMetrics {
    let counter = |name, help| metrics.counter(name, help, &[]);
    let refused = |reason| {
        let help = "Connections refused before the handshake, by reason.";
        metrics.counter("crs_connections_refused_total", help, &[("reason", reason)])
    };
    let failed = |reason| {
        let help = "Handshakes that failed, by reason.";
        metrics.counter("crs_handshake_failures_total", help, &[("reason", reason)])
    };
    let exchange = |kind| {
        let help = "Finished handshakes, by key exchange.";
        metrics.counter("crs_handshakes_total", help, &[("key_exchange", kind)])
    };
    ListenerMetrics {
        accepted: counter("crs_connections_accepted_total", "TCP connections accepted."),
        refused_address: refused("address"),
        refused_network: refused("network"),
        accept_paused: counter(
            "crs_accept_pauses_total",
            "Times accepting paused for lack of room.",
        ),
        handshakes_started: counter("crs_handshakes_started_total", "Handshakes begun."),
        handshaking: metrics.gauge("crs_handshakes_active", "Handshakes under way.", &[]),
        handshake_timeout: failed("timeout"),
        upgrade_failed: failed("upgrade"),
        handshake_seconds: metrics.histogram(
            "crs_handshake_seconds",
            "Time from accept to the end of the upgrade.",
            &[],
        ),
        key_exchange_hybrid: exchange("hybrid"),
        key_exchange_classical: exchange("classical"),
    }
}

fn connection(metrics: &Metrics) -> ConnectionMetrics {
    let counter = |name, help| metrics.counter(name, help, &[]);
    let attach = |result| {
        metrics.counter("crs_attaches_total", "Attach requests, by result.", &[("result", result)])
    };
    let frames = |direction| {
        let help = "Frames of clients, by direction.";
        metrics.counter("crs_client_frames_total", help, &[("direction", direction)])
    };
    let cut = |reason| {
        let help = "Connections cut by the node, by reason.";
        metrics.counter("crs_connections_cut_total", help, &[("reason", reason)])
    };
    ConnectionMetrics {
        opened: counter("crs_connections_opened_total", "Client connections opened."),
        open: metrics.gauge("crs_connections_open", "Open client connections.", &[]),
        attached: metrics.gauge("crs_clients_attached", "Registered clients.", &[]),
        attach_ok: attach("ok"),
        attach_denied: attach("denied"),
        unregistered: counter("crs_unregistered_total", "Registrations ended by the node."),
        frames_in: frames("in"),
        frames_out: frames("out"),
        cut_protocol: cut("protocol"),
        cut_slow: cut("slow"),
        cut_keepalive: cut("keepalive"),
        rate_limited: counter("crs_rate_limited_total", "Requests refused by a rate limit."),
        outgoing: queue(metrics, "outgoing"),
        mailbox: queue(metrics, "connection"),
    }
}

fn queue(metrics: &Metrics, kind: &str) -> QueueMetrics {
    let labels = [("queue", kind)];
    QueueMetrics {
        offered: metrics.counter(
            "crs_queue_messages_total",
            "Messages offered, refused ones too, by kind of queue.",
            &labels,
        ),
        depth: metrics.gauge("crs_queue_depth", "Messages that wait, by kind of queue.", &labels),
        refused: metrics.counter(
            "crs_queue_refused_total",
            "Messages refused because a queue was full, by kind of queue.",
            &labels,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_has_help_and_a_type() {
        let metrics = Metrics::default();
        let _handles = (node(&metrics), session(&metrics), store_events(&metrics));
        let text = metrics.render();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| {
                    name.strip_suffix(suffix).filter(|f| {
                        ["_seconds", "_commands", "_writes"].iter().any(|s| f.ends_with(s))
                    })
                })
                .unwrap_or(name);
            assert!(text.contains(&format!("# HELP {family} ")), "no help for {family}");
            assert!(text.contains(&format!("# TYPE {family} ")), "no type for {family}");
        }
    }
}
