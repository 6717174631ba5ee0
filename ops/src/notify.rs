//! The notification hook: every system event runs `notify.sh <unit/module> <event>` (C-443,
//! C-444, Q-47), one after another, time-boxed, and never in anybody's way.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use metrics::Counter;
use tokio::process::Command;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::Metrics;

/// Events that wait for their turn; more are counted and dropped.
pub const QUEUE_MAX: usize = 256;
/// How long one run of the script may take before it is killed.
pub const RUN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a stopping node goes on running scripts that already wait.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// A system event. The pair (unit/module, event) is what the script gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemEvent {
    /// The node serves clients.
    NodeUp,
    /// The node stops.
    NodeDown,
    /// The node drains.
    NodeDrain,
    /// A Raft group has a leader again.
    RaftLeader,
    /// A Raft group has none.
    RaftNoQuorum,
    /// A limit of `crs-relay.conf` refused an allocation.
    RelayLimit,
    /// The relay stopped forwarding.
    RelayDown,
    /// Little space is left.
    DiskLow,
    /// No space is left: posts are refused.
    DiskFull,
    /// An account has no update for the current or the next month.
    UpdateMissing,
    /// An update file was applied.
    UpdateApplied,
    /// The clock differs from the pool's.
    ClockSkew,
    /// A certificate of this node ends soon.
    CertExpiring,
    /// Files and running state, or two nodes, differ in their configuration.
    ConfigDrift,
    /// An administrator did something that is audited.
    AuditAdmin,
    /// Anything of a later feature: unit/module and event as the script shall see them.
    Other {
        /// For instance `peer/crs2`.
        unit: String,
        /// For instance `down`.
        event: String,
    },
}

impl SystemEvent {
    /// First argument of the script.
    pub fn unit(&self) -> &str {
        match self {
            Self::NodeUp | Self::NodeDown | Self::NodeDrain => "node",
            Self::RaftLeader | Self::RaftNoQuorum => "raft",
            Self::RelayLimit | Self::RelayDown => "relay",
            Self::DiskLow | Self::DiskFull => "disk",
            Self::UpdateMissing | Self::UpdateApplied => "update",
            Self::ClockSkew => "clock",
            Self::CertExpiring => "cert",
            Self::ConfigDrift => "config",
            Self::AuditAdmin => "audit",
            Self::Other { unit, .. } => unit,
        }
    }

    /// Second argument of the script.
    pub fn event(&self) -> &str {
        match self {
            Self::NodeUp => "up",
            Self::NodeDown | Self::RelayDown => "down",
            Self::NodeDrain => "drain",
            Self::RaftLeader => "leader",
            Self::RaftNoQuorum => "no-quorum",
            Self::RelayLimit => "limit",
            Self::DiskLow => "low",
            Self::DiskFull => "full",
            Self::UpdateMissing => "missing",
            Self::UpdateApplied => "applied",
            Self::ClockSkew => "skew",
            Self::CertExpiring => "expiring",
            Self::ConfigDrift => "drift",
            Self::AuditAdmin => "admin",
            Self::Other { event, .. } => event,
        }
    }
}

/// Where events are handed in. Cheap to clone; never blocks.
#[derive(Clone)]
pub struct Notifier {
    queue: mpsc::Sender<SystemEvent>,
    events: Counter,
    dropped: Counter,
}

impl Notifier {
    /// Queues an event. When [`QUEUE_MAX`] wait already, it is counted and dropped.
    pub fn notify(&self, event: SystemEvent) {
        tracing::debug!(
            module = "notify",
            unit = event.unit(),
            event = event.event(),
            "system event"
        );
        self.events.increment(1);
        if self.queue.try_send(event).is_err() {
            self.dropped.increment(1);
        }
    }

    /// A notifier without a script: events go to the receiver, for tests.
    pub fn channel() -> (Self, mpsc::Receiver<SystemEvent>) {
        let (queue, events) = mpsc::channel(QUEUE_MAX);
        (Self { queue, events: Counter::noop(), dropped: Counter::noop() }, events)
    }
}

/// Owns the task that runs the script.
pub struct NotifyHook {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl NotifyHook {
    /// Starts the runner for one script. A missing script is not an error: it is told once.
    pub fn start(script: PathBuf, metrics: &Metrics) -> (Self, Notifier) {
        Self::start_with(script, RUN_TIMEOUT, metrics)
    }

    /// As [`Self::start`] with another time-box, for tests.
    pub fn start_with(script: PathBuf, timeout: Duration, metrics: &Metrics) -> (Self, Notifier) {
        let (queue, events) = mpsc::channel(QUEUE_MAX);
        let (stop, stopped) = watch::channel(false);
        let counters = Counters::new(metrics);
        let (counted, dropped) = (counters.events.clone(), counters.dropped.clone());
        let task = tokio::spawn(run_all(script, timeout, events, stopped, counters));
        (Self { task, stop }, Notifier { queue, events: counted, dropped })
    }

    /// Runs what already waits, for at most a few seconds, then ends the runner.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if tokio::time::timeout(DRAIN_TIMEOUT, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

struct Counters {
    events: Counter,
    runs: Counter,
    failed: Counter,
    dropped: Counter,
}

impl Counters {
    fn new(metrics: &Metrics) -> Self {
        Self {
            events: metrics.counter("crs_notify_events_total", "System events.", &[]),
            runs: metrics.counter("crs_notify_runs_total", "Runs of notify.sh begun.", &[]),
            failed: metrics.counter(
                "crs_notify_failures_total",
                "Runs of notify.sh that failed or were killed for taking too long.",
                &[],
            ),
            dropped: metrics.counter(
                "crs_notify_dropped_total",
                "System events dropped because too many waited for notify.sh.",
                &[],
            ),
        }
    }
}

async fn run_all(
    script: PathBuf,
    timeout: Duration,
    mut events: mpsc::Receiver<SystemEvent>,
    mut stopped: watch::Receiver<bool>,
    counters: Counters,
) {
    let mut told_missing = false;
    loop {
        let event = tokio::select! {
            biased;
            event = events.recv() => event,
            _ = stopped.wait_for(|stop| *stop) => events.try_recv().ok(),
        };
        let Some(event) = event else { return };
        if !script.is_file() {
            if !std::mem::replace(&mut told_missing, true) {
                tracing::warn!(module = "notify", script = %script.display(), "the notification script is missing");
            }
            continue;
        }
        told_missing = false;
        counters.runs.increment(1);
        if let Err(why) = run_one(&script, timeout, &event).await {
            counters.failed.increment(1);
            tracing::warn!(module = "notify", unit = event.unit(), event = event.event(), %why, "notify.sh failed");
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("it could not be started: {0}")]
    Start(#[from] std::io::Error),
    #[error("it ended with {0}")]
    Exit(std::process::ExitStatus),
    #[error("it took longer than {0:?} and was killed")]
    Timeout(Duration),
}

async fn run_one(script: &Path, timeout: Duration, event: &SystemEvent) -> Result<(), RunError> {
    let mut child = Command::new(script)
        .arg(event.unit())
        .arg(event.event())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    match tokio::time::timeout(timeout, child.wait()).await {
        Ok(status) => {
            let status = status?;
            if status.success() { Ok(()) } else { Err(RunError::Exit(status)) }
        }
        Err(_) => {
            child.kill().await?;
            Err(RunError::Timeout(timeout))
        }
    }
}
