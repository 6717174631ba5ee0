//! The parts of a node, each made from the configuration and what was made before it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use crs_actors::NodeContext;
use crs_actors::admin::{AdminContext, AdminParts, NodeFacts};
use crs_actors::context::ContextParts;
use crs_actors::directory::LocalDirectory;
use crs_actors::listener::{
    Capacity, FD_RESERVE, Failures, ListenerShared, TestClients, TlsSettings,
};
use crs_actors::relay::RelayService;
use crs_actors::session::SessionService;
use crs_actors::supervisor::SupervisorHandle;
use crs_actors::trace::TraceHub;
use crs_keys::seal_at_rest::Sealer;
use crs_ops::Metrics;
use crs_storage::{ArrivalHook, Store, StoreConfig};
use crs_types::disk::OsDisk;
use crs_types::{NodeId, OsRng};

use super::accounts::AccountsTask;
use super::certificate::Certificates;
use super::tree::Tree;
use super::{Base, Extras, SCRATCH};
use crate::config::Config;
use crate::handles;
use crate::probe::{ClientProbe, ProbeParts};

/// Folder of the store below the data folder.
const STORE: &str = "store";

pub(super) fn sealer(config: &Config) -> anyhow::Result<Arc<Sealer>> {
    let keys: Vec<_> = config.pool.keys.iter().map(|key| &key.secret).collect();
    Ok(Arc::new(Sealer::new(&keys)?))
}

pub(super) async fn open_store(
    config: &Config,
    base: &Base,
    hook: ArrivalHook,
) -> anyhow::Result<Store> {
    let folder = store_folder(config);
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let store = StoreConfig {
        node: NodeId(1),
        mailbox_groups: config.pool.mailbox_groups,
        min_free_bytes: config.disk_min_free,
        ..StoreConfig::default()
    };
    let disk = Arc::new(OsDisk::new(&folder));
    let network = crs_cluster::Unreachable;
    Store::open(store, disk, Arc::clone(&base.clock), network, hook)
        .await
        .with_context(|| format!("opening the store in {}", folder.display()))
}

pub(super) fn trace_hub(metrics: &Metrics) -> Arc<TraceHub> {
    let help = "Trace events that a listener lost because it read too slowly.";
    TraceHub::new(metrics.counter("crs_trace_dropped_total", help, &[]))
}

pub(super) fn context(
    config: &Config,
    base: &Base,
    accounts: &AccountsTask,
    hub: &Arc<TraceHub>,
) -> Arc<NodeContext> {
    NodeContext::new(ContextParts {
        name: config.name.clone(),
        id: NodeId(1),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        clock: Arc::clone(&base.clock),
        rng: Box::new(OsRng),
        settings: config.settings.clone(),
        accounts: Arc::clone(&accounts.registry),
        blobs: Arc::new(accounts.blobs.clone()),
        directory: Arc::new(LocalDirectory::new()),
        trace: Arc::clone(hub) as _,
        metrics: handles::node(&base.metrics),
    })
}

pub(super) fn sessions(
    context: &Arc<NodeContext>,
    supervisor: SupervisorHandle,
    relay: &RelayService,
    metrics: &Metrics,
) -> SessionService {
    let relay = Arc::new(relay.clone());
    let metrics = handles::session(metrics);
    SessionService::new(context, supervisor, relay, Default::default(), metrics)
}

pub(super) async fn listener(
    config: &Config,
    context: &Arc<NodeContext>,
    certificates: &Certificates,
    tree: &mut Tree,
    extras: Extras,
) -> anyhow::Result<Arc<ListenerShared>> {
    let keys = config.pool.keys.iter().map(|key| key.secret.clone()).collect();
    let accounts = Arc::clone(&context.accounts);
    let clock = Arc::clone(&context.clock);
    let tls = TlsSettings::new(certificates.shown(), accounts, clock, TestClients::new(keys))?;
    let connections = tree.population("connection_sup", config.settings.limits.connections).await?;
    Ok(Arc::new(ListenerShared {
        context: Arc::clone(context),
        tls,
        connections,
        capacity: Capacity::new(),
        failures: Failures::new(),
        fd_limit: usize::try_from(extras.open_files).unwrap_or(usize::MAX),
        pool: config.pool.hosts.iter().filter_map(|host| host.ip).collect(),
        echo: extras.test_echo,
        limit_loopback: false,
    }))
}

/// What the admin side is made from.
pub(super) struct Admin<'a> {
    pub(super) config: &'a Config,
    pub(super) base: &'a Base,
    pub(super) client: SocketAddr,
    pub(super) sealer: Arc<Sealer>,
    pub(super) hub: Arc<TraceHub>,
}

impl Admin<'_> {
    pub(super) fn context(
        self,
        context: &Arc<NodeContext>,
        store: &Store,
        sessions: &SessionService,
        relay: &RelayService,
        certificates: &Certificates,
    ) -> Arc<AdminContext> {
        let config = self.config;
        let notify_script =
            Some(config.paths.scripts.join("notify.sh")).filter(|path| path.is_file());
        let facts = NodeFacts {
            accounts_dir: config.paths.accounts.clone(),
            data_dir: store_folder(config),
            notify_script,
            listen: vec![self.client],
            certificate_end: certificates.end,
            started: self.base.clock.mono(),
            open_files_wanted: (config.settings.limits.connections + FD_RESERVE) as u64,
        };
        let probe = Arc::new(ClientProbe::new(self.probe(store, certificates)));
        AdminContext::new(AdminParts {
            node: Arc::clone(context),
            store: Arc::new(store.clone()),
            sessions: Arc::new(sessions.clone()),
            relay: Some(Arc::new(relay.clone())),
            hub: self.hub,
            sealer: self.sealer,
            probe,
            notifier: Some(self.base.notifier.clone()),
            facts,
        })
    }

    fn probe(&self, store: &Store, certificates: &Certificates) -> ProbeParts {
        let config = self.config;
        let public = config.media_addresses.first().copied().unwrap_or(self.client.ip());
        let store = store.clone();
        ProbeParts {
            clock: Arc::clone(&self.base.clock),
            pool_key: config.pool.keys.first().map(|key| key.secret.clone()).unwrap_or_else(none),
            roots: vec![certificates.root()],
            public_name: None,
            listener: self.client,
            public: SocketAddr::new(public, self.client.port()),
            scratch: config.paths.data.join(SCRATCH),
            any_account: Arc::new(move || store.control().accounts.keys().next().cloned()),
        }
    }
}

/// A configuration without a key does not parse.
fn none() -> crs_types::Secret {
    crs_types::Secret::new(Vec::new())
}

fn store_folder(config: &Config) -> PathBuf {
    config.paths.data.join(STORE)
}
