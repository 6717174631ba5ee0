//! The columns of `show relay` as series, summed when somebody scrapes.

use std::sync::atomic::Ordering;

use crs_ops::Metrics;
use crs_relay::RelayType;
use metrics::{Counter, Gauge};

use super::RelayService;
use super::figures::{Figures, KINDS};

/// Registers `crs_relay_*`: media per type, totals, and why packets were dropped.
pub fn register_relay_metrics(metrics: &Metrics, relay: RelayService) {
    let types = RelayType::ALL.map(|kind| {
        let labels = [("type", kind.as_str())];
        let counter = |name, help| metrics.counter(name, help, &labels);
        [
            counter("crs_relay_rx_packets_total", "Media packets received from clients."),
            counter("crs_relay_rx_bytes_total", "Media bytes received from clients."),
            counter("crs_relay_tx_packets_total", "Media packets forwarded."),
            counter("crs_relay_tx_bytes_total", "Media bytes forwarded."),
        ]
    });
    let total = |name, help| metrics.counter(name, help, &[]);
    let sent = total("crs_relay_sent_packets_total", "Packets sent, STUN included.");
    let sent_bytes = total("crs_relay_sent_bytes_total", "Bytes sent, STUN included.");
    let received = total("crs_relay_received_packets_total", "Packets received.");
    let received_bytes = total("crs_relay_received_bytes_total", "Bytes received.");
    let stun = total("crs_relay_stun_accepted_total", "STUN messages accepted.");
    let taken = total("crs_relay_address_taken_total", "Legs refused: address of another leg.");
    let ring = total("crs_relay_ring_full_total", "Times a ring between threads was full.");
    let dropped =
        ["no_dest", "send_error", "too_short", "too_long", "unknown", "foreign", "rate", "stun"]
            .map(|why| {
                let help = "Packets not forwarded, by reason.";
                metrics.counter("crs_relay_dropped_packets_total", help, &[("reason", why)])
            });
    let relays = relays(metrics);
    metrics.on_scrape(move || {
        for (handles, (kind, _)) in relays.iter().zip(KINDS) {
            handles.set(relay.figures().of(kind));
        }
        let now = relay.counters();
        for (counters, row) in types.iter().zip(now.types) {
            for (counter, value) in
                counters.iter().zip([row.rx, row.rx_bytes, row.tx, row.tx_bytes])
            {
                counter.absolute(value);
            }
        }
        sent.absolute(now.sent);
        sent_bytes.absolute(now.sent_bytes);
        received.absolute(now.received);
        received_bytes.absolute(now.received_bytes);
        stun.absolute(now.stun_accepted);
        taken.absolute(now.address_taken);
        ring.absolute(now.ring_full);
        let reasons = [
            now.sent_no_dest,
            now.sent_error,
            now.received_too_short,
            now.received_too_long,
            now.dropped_unknown,
            now.dropped_foreign,
            now.dropped_rate,
            now.stun_refused,
        ];
        for (counter, value) in dropped.iter().zip(reasons) {
            counter.absolute(value);
        }
    });
}

/// Handles of one type's relays.
struct Relays {
    live: Gauge,
    made: Counter,
    limit: Counter,
    unavailable: Counter,
}

impl Relays {
    fn set(&self, figures: &Figures) {
        self.live.set(figures.live.load(Ordering::Relaxed) as f64);
        self.made.absolute(figures.made.load(Ordering::Relaxed));
        self.limit.absolute(figures.limit.load(Ordering::Relaxed));
        self.unavailable.absolute(figures.unavailable.load(Ordering::Relaxed));
    }
}

fn relays(metrics: &Metrics) -> [Relays; KINDS.len()] {
    KINDS.map(|(_, kind)| {
        let kind = ("type", kind.as_str());
        let refused = |why| {
            let help = "Relays refused, by type and reason.";
            metrics.counter("crs_relays_refused_total", help, &[kind, ("reason", why)])
        };
        Relays {
            live: metrics.gauge("crs_relays", "Live relays, by type.", &[kind]),
            made: metrics.counter("crs_relays_made_total", "Relays made, by type.", &[kind]),
            limit: refused("limit"),
            unavailable: refused("unavailable"),
        }
    })
}
