//! The composition root: joins store, accounts, relay, sessions, listener and admin socket into
//! one node, in the order of their dependencies, and takes it down in the reverse order.

mod accounts;
mod alarms;
mod certificate;
mod parts;
mod tree;

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use crs_actors::NodeContext;
use crs_actors::context::{DrainState, Services};
use crs_actors::listener::NodeCertificate;
use crs_actors::relay::{RelayService, RelaySettings, register_relay_metrics};
use crs_actors::session::SessionService;
use crs_ops::{Health, Metrics, Notifier, RelayLogLine, relay_log};
use crs_storage::Store;
use crs_types::Clock;
use tokio::sync::watch;

use crate::announce::Addresses;
use crate::config::Config;
use crate::handles;
use accounts::AccountsTask;
use certificate::Certificates;
use tree::Tree;

/// Folder below the data folder for files that live only while something is under way.
pub const SCRATCH: &str = "tmp";
/// How often a drain looks whether calls are left.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

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
#[derive(Debug, Clone, Copy, Default)]
pub struct Extras {
    /// Files this process may open.
    pub open_files: u64,
    /// Offer the test-only echo.
    pub test_echo: bool,
}

/// A running node.
pub struct Composed {
    context: Arc<NodeContext>,
    certificates: Certificates,
    store: Store,
    store_failed: watch::Receiver<Option<String>>,
    accounts: AccountsTask,
    relay: RelayService,
    sessions: SessionService,
    tree: Tree,
    client: SocketAddr,
    leaderless: bool,
}

impl Composed {
    /// Starts everything. When something does not start, what was started before is stopped by
    /// being dropped, and the process ends.
    pub async fn start(config: &Config, base: &Base, extras: Extras) -> anyhow::Result<Self> {
        let arrivals = crs_actors::store::Arrivals::new();
        let sealer = parts::sealer(config)?;
        let store = parts::open_store(config, base, arrivals.hook()).await?;
        handles::store(&base.metrics, store.clone());
        let certificates = Certificates::start(config, base, &store, &sealer).await?;
        let accounts = AccountsTask::start(&store).await;
        let hub = parts::trace_hub(&base.metrics);
        let context = parts::context(config, base, &accounts, &hub);
        arrivals.connect(&context);

        let mut tree = Tree::new(&context);
        let relay = start_relay(config, base, &context).await?;
        let calls = tree.population("session_sup", config.settings.limits.sessions).await?;
        let sessions = parts::sessions(&context, calls, &relay, &base.metrics);
        let services = crs_actors::store::StoreServices::new(store.clone(), &context);
        context.set_services(Services {
            sessions: Arc::new(sessions.clone()),
            mail: Arc::new(services.clone()),
            updates: Arc::new(services),
        });
        let socket = tokio::net::TcpListener::bind(config.listen.client)
            .await
            .with_context(|| format!("listening for clients at {}", config.listen.client))?;
        let client = socket.local_addr()?;
        let admin = parts::Admin { config, base, client, sealer, hub };
        let admin = admin.context(&context, &store, &sessions, &relay, &certificates);
        tree.admin(&config.paths.admin_socket, admin).await?;
        let shared = parts::listener(config, &context, &certificates, &mut tree, extras).await?;
        tree.listen(socket, shared).await?;
        let store_failed = store.failed();
        Ok(Self {
            context,
            certificates,
            store,
            store_failed,
            accounts,
            relay,
            sessions,
            tree,
            client,
            leaderless: false,
        })
    }

    /// What actors share.
    pub fn context(&self) -> Arc<NodeContext> {
        Arc::clone(&self.context)
    }

    /// The certificate of the client port.
    pub fn certificate(&self) -> Arc<NodeCertificate> {
        self.certificates.shown()
    }

    /// The relay, whose limits a reload may change.
    pub fn relay(&self) -> RelayService {
        self.relay.clone()
    }

    /// Addresses that were bound.
    pub fn addresses(&self, metrics: Option<SocketAddr>) -> Addresses {
        Addresses { client: self.client, media: self.relay.addresses(), metrics }
    }

    /// Ends when the node can no longer go on; says why. Cancel-safe.
    pub async fn failed(&mut self) -> String {
        let store = async {
            match self.store_failed.wait_for(Option::is_some).await {
                Ok(why) => why.clone().unwrap_or_default(),
                Err(_) => pending().await,
            }
        };
        tokio::select! {
            why = store => format!("the store failed: {why}"),
            () = self.accounts.ended() => "loading accounts ended".to_owned(),
            name = self.tree.ended() => format!("{name} gave up"),
            () = self.relay.supervisor().wait() => "relay_sup gave up".to_owned(),
        }
    }

    /// Looks at the node: leaders, space, certificate.
    pub fn look(&mut self, base: &Base) {
        let status = self.store.status();
        let group = status.groups.iter().find(|group| group.leader.is_none()).map(|g| g.group);
        alarms::leader(base, group, &mut self.leaderless);
        alarms::disk(base, status.disk_full);
        self.certificates.renew(base);
        relay_log(RelayLogLine::CommandPoll, &"node");
    }

    /// No new attaches and calls; waits until no call is left, at most `deadline`.
    pub async fn drain(&self, deadline: Duration) {
        self.context.set_drain_state(DrainState::Draining);
        let idle = async {
            while self.sessions.snapshot().iter().any(|session| session.end.is_none()) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        // The deadline is an end like any other.
        let _late = tokio::time::timeout(deadline, idle).await;
    }

    /// Stops everything, what depends on others first.
    pub async fn close(self, patience: Duration) {
        self.context.set_drain_state(DrainState::Stopping);
        self.tree.drain(patience).await;
        if let Err(error) = self.relay.supervisor().drain(patience).await {
            tracing::warn!(module = "node", %error, "the relay was not stopped in time");
        }
        relay_log(RelayLogLine::Close, &"node");
        self.accounts.stop();
        self.store.close().await;
    }
}

async fn start_relay(
    config: &Config,
    base: &Base,
    context: &Arc<NodeContext>,
) -> anyhow::Result<RelayService> {
    let settings = RelaySettings {
        relay: config.relay.clone(),
        advertised: config.media_addresses.clone(),
        alarm: alarms::relay(base.clone()),
    };
    let clock = Arc::clone(&base.clock);
    let relay = RelayService::start(settings, clock, &context.metrics, None)
        .await
        .context("starting the media relay")?;
    register_relay_metrics(&base.metrics, relay.clone());
    relay_log(RelayLogLine::Connection, &"node");
    Ok(relay)
}
