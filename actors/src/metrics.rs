//! Metric handles that the actors update. The owner of the recorder builds them once and passes
//! them in; [`Default`] gives handles that count into nothing.

mod labelled;
mod traffic;

use metrics::{Counter, Gauge, Histogram};

pub use labelled::Labelled;
pub use traffic::TrafficMetrics;

/// One kind of bounded queue: how much waits in all queues of the kind, and how often a sender
/// was refused, of how many messages.
#[derive(Debug, Clone)]
pub struct QueueMetrics {
    /// Messages offered, refused ones too (`crs_queue_messages_total`).
    pub offered: Counter,
    /// Messages waiting (`crs_queue_depth`).
    pub depth: Gauge,
    /// Messages refused because a queue was full (`crs_queue_refused_total`).
    pub refused: Counter,
}

/// Listener and handshake figures.
#[derive(Debug, Clone)]
pub struct ListenerMetrics {
    /// TCP connections accepted.
    pub accepted: Counter,
    /// Connections refused at once because their address failed too many handshakes.
    pub refused_address: Counter,
    /// Connections refused at once because too many of their network have not attached.
    pub refused_network: Counter,
    /// Times accepting paused for lack of file descriptors.
    pub accept_paused: Counter,
    /// Handshakes begun.
    pub handshakes_started: Counter,
    /// Handshakes under way.
    pub handshaking: Gauge,
    /// TLS handshakes or upgrades that took longer than their limit.
    pub handshake_timeout: Counter,
    /// WebSocket upgrades refused.
    pub upgrade_failed: Counter,
    /// Seconds from accept to the end of the upgrade.
    pub handshake_seconds: Histogram,
    /// Finished handshakes with the hybrid post-quantum key exchange.
    pub key_exchange_hybrid: Counter,
    /// Finished handshakes with a classical key exchange.
    pub key_exchange_classical: Counter,
}

/// Client connection figures.
#[derive(Debug, Clone)]
pub struct ConnectionMetrics {
    /// Connections opened (upgraded).
    pub opened: Counter,
    /// Open connections.
    pub open: Gauge,
    /// Registrations.
    pub attached: Gauge,
    /// Successful attaches.
    pub attach_ok: Counter,
    /// Denied attaches.
    pub attach_denied: Counter,
    /// Registrations ended by the server.
    pub unregistered: Counter,
    /// Frames from clients.
    pub frames_in: Counter,
    /// Frames to clients.
    pub frames_out: Counter,
    /// Connections cut for breaking the protocol or a limit.
    pub cut_protocol: Counter,
    /// Connections cut because the client did not read for 30 s or its queue overflowed.
    pub cut_slow: Counter,
    /// Connections cut because a ping was not answered.
    pub cut_keepalive: Counter,
    /// Requests refused by a rate limit.
    pub rate_limited: Counter,
    /// Outgoing queues: frames waiting, frames refused.
    pub outgoing: QueueMetrics,
    /// Mailboxes of connection actors.
    pub mailbox: QueueMetrics,
}

/// Supervision figures.
#[derive(Debug, Clone)]
pub struct SupervisionMetrics {
    /// Actors started, restarts too.
    pub starts: Counter,
    /// Actors that panicked or failed.
    pub failures: Counter,
    /// Restarts carried out.
    pub restarts: Counter,
    /// Escalations to a parent.
    pub escalations: Counter,
}

/// All handles of a node's actors.
#[derive(Debug, Clone, Default)]
pub struct NodeMetrics {
    /// Supervision.
    pub supervision: SupervisionMetrics,
    /// Listeners.
    pub listener: ListenerMetrics,
    /// Client connections.
    pub connection: ConnectionMetrics,
    /// What clients do, and why they are refused.
    pub traffic: TrafficMetrics,
    /// Mailboxes of session actors.
    pub session_mailbox: QueueMetrics,
    /// Mailboxes of the permanent service actors.
    pub service_mailbox: QueueMetrics,
}

impl Default for QueueMetrics {
    fn default() -> Self {
        Self { offered: Counter::noop(), depth: Gauge::noop(), refused: Counter::noop() }
    }
}

impl Default for SupervisionMetrics {
    fn default() -> Self {
        let noop = Counter::noop;
        Self { starts: noop(), failures: noop(), restarts: noop(), escalations: noop() }
    }
}

impl Default for ListenerMetrics {
    fn default() -> Self {
        let noop = Counter::noop;
        Self {
            accepted: noop(),
            refused_address: noop(),
            refused_network: noop(),
            accept_paused: noop(),
            handshakes_started: noop(),
            handshaking: Gauge::noop(),
            handshake_timeout: noop(),
            upgrade_failed: noop(),
            handshake_seconds: Histogram::noop(),
            key_exchange_hybrid: noop(),
            key_exchange_classical: noop(),
        }
    }
}

impl Default for ConnectionMetrics {
    fn default() -> Self {
        let noop = Counter::noop;
        Self {
            opened: noop(),
            open: Gauge::noop(),
            attached: Gauge::noop(),
            attach_ok: noop(),
            attach_denied: noop(),
            unregistered: noop(),
            frames_in: noop(),
            frames_out: noop(),
            cut_protocol: noop(),
            cut_slow: noop(),
            cut_keepalive: noop(),
            rate_limited: noop(),
            outgoing: QueueMetrics::default(),
            mailbox: QueueMetrics::default(),
        }
    }
}
