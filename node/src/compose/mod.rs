//! The composition root: joins store, accounts, relay, sessions, listener and admin socket into
//! one node, in the order of their dependencies, and takes it down in the reverse order.

mod alarms;
mod certificate;
mod parts;
mod planted;
mod watching;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use crs_actors::NodeContext;
use crs_actors::admin::OperatorCommands;
use crs_actors::listener::NodeCertificate;
use crs_actors::relay::{RelayService, register_relay_metrics};
use crs_actors::store::Arrivals;
use crs_actors::trace::TraceHub;
use crs_actors::tree::{DrainPlan, Node};
use crs_ops::{Health, Metrics, Notifier, RelayLogLine, relay_log};
use crs_types::Clock;

use crate::announce::Addresses;
use crate::config::Config;
use crate::handles;
use crate::watch::Drift;
use certificate::Certificates;
use watching::Watching;

/// Folder below the data folder for files that live only while something is under way.
pub const SCRATCH: &str = "tmp";
/// Over how long the clients of a node with peers are asked to move.
const SPREAD: Duration = Duration::from_secs(20);

/// What a node is built on.
#[derive(Clone)]
pub struct Base {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The node's recorder.
    pub metrics: Metrics,
    /// Readiness.
    pub health: Health,
    /// System events.
    pub notifier: Notifier,
}

/// What the command line adds to the configuration.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    /// Files this process may open.
    pub open_files: u64,
    /// Offer the test-only echo.
    pub test_echo: bool,
    /// What an operator may paste.
    pub commands: OperatorCommands,
}

/// A running node.
pub struct Composed {
    node: Node,
    certificates: Certificates,
    watching: Watching,
    hub: Arc<TraceHub>,
    spread: Duration,
    leaderless: bool,
    disk: alarms::Disk,
    disk_min_free: u64,
}

impl Composed {
    /// Starts everything. When something does not start, the process ends with the error.
    pub async fn start(config: &Config, base: &Base, extras: Extras) -> anyhow::Result<Self> {
        let arrivals = Arrivals::new();
        let sealer = parts::sealer(config)?;
        let store = parts::open_store(config, base, &arrivals).await?;
        handles::store(&base.metrics, store.clone());
        let certificates = Certificates::start(config, base, &store, &sealer).await?;
        let watching = Watching::default();
        let watched = watching.watched();
        let hub = parts::trace_hub(&base.metrics);
        let ingredients = parts::Ingredients {
            config,
            base,
            extras,
            store,
            arrivals,
            sealer,
            watched,
            hub: Arc::clone(&hub),
        };
        let node = Node::build(ingredients.join(&certificates)?).await?;
        handles::accounts(&base.metrics, node.context());
        node.spawn().await.context("starting to serve")?;
        if let Some(relay) = node.relay() {
            register_relay_metrics(&base.metrics, relay.clone());
            relay_log(RelayLogLine::Connection, &"node");
        }
        let alone = config.pool.hosts.len() <= 1;
        let spread = if alone { Duration::ZERO } else { SPREAD };
        Ok(Self {
            node,
            certificates,
            watching,
            hub,
            spread,
            leaderless: false,
            disk: alarms::Disk::default(),
            disk_min_free: config.disk_min_free,
        })
    }

    /// What actors share.
    pub fn context(&self) -> Arc<NodeContext> {
        Arc::clone(self.node.context())
    }

    /// The certificate of the client port.
    pub fn certificate(&self) -> Arc<NodeCertificate> {
        self.certificates.shown()
    }

    /// The relay, whose limits a reload may change.
    pub fn relay(&self) -> Option<RelayService> {
        self.node.relay().cloned()
    }

    /// Where traces are taken from.
    pub fn trace_hub(&self) -> Arc<TraceHub> {
        Arc::clone(&self.hub)
    }

    /// Addresses that were bound.
    pub fn addresses(&self, metrics: Option<SocketAddr>) -> Addresses {
        let media = self.node.relay().map(RelayService::addresses).unwrap_or_default();
        Addresses { client: self.node.addresses(), media, metrics }
    }

    /// Ends when the node can no longer go on; says why. Cancel-safe.
    pub async fn failed(&self) -> String {
        self.node.failed().await
    }

    /// Looks at the node: leaders, space, certificates, accounts, clock.
    pub fn look(&mut self, base: &Base) {
        let status = self.node.store().status();
        let group = status.groups.iter().find(|group| group.leader.is_none()).map(|g| g.group);
        alarms::leader(base, group, &mut self.leaderless);
        alarms::disk(base, &status, self.disk_min_free, &mut self.disk);
        self.certificates.renew(base);
        self.watch(base);
        relay_log(RelayLogLine::CommandPoll, &"node");
    }

    fn watch(&mut self, base: &Base) {
        let view = self.node.context().accounts.view();
        self.watching.look(base, &view, self.certificates.state());
    }

    /// These directives of the configuration have no effect yet, which `doctor` tells.
    pub fn without_effect(&self, directives: Vec<String>) {
        self.watching.without_effect(directives);
    }

    /// These files of the configuration hold secrets, which `doctor` looks after.
    pub fn secrets_are_in(&self, files: Vec<PathBuf>) {
        self.watching.secrets_are_in(files);
    }

    /// The files of the configuration were looked at; `found` is how they differ from what runs.
    pub fn files_looked_at(&mut self, base: &Base, found: Option<Drift>) {
        self.watching.files_looked_at(base, found);
    }

    /// The files were reloaded; `found` is how they still differ from what runs. A certificate
    /// that came with them is looked at right away.
    pub fn files_reloaded(&mut self, base: &Base, found: Option<Drift>) {
        self.watching.files_reloaded(base, found);
        self.watch(base);
    }

    /// No new connections, attaches and calls; waits until no call is left, at most `deadline`,
    /// and asks clients to move.
    pub async fn drain(&self, deadline: Duration) {
        self.node.drain(DrainPlan { calls: deadline, spread: self.spread }).await;
    }

    /// Stops everything, what depends on others first.
    pub async fn close(self) {
        relay_log(RelayLogLine::Close, &"node");
        self.node.close().await;
    }
}
