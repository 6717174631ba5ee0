//! The parts of a node, each made from the configuration and what was made before it.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use crs_actors::admin::{NodeFacts, Watched};
use crs_actors::listener::FD_RESERVE;
use crs_actors::relay::RelaySettings;
use crs_actors::store::Arrivals;
use crs_actors::trace::TraceHub;
use crs_actors::tree::{AdminSettings, NodeParts};
use crs_keys::seal_at_rest::Sealer;
use crs_ops::Metrics;
use crs_proto::session::SessionConfig;
use crs_storage::{Store, StoreConfig};
use crs_types::disk::{OsDisk, create_dir_durably};
use crs_types::{NodeId, OsRng, Secret};

use super::certificate::Certificates;
use super::{Base, Extras, SCRATCH, alarms};
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
    arrivals: &Arrivals,
) -> anyhow::Result<Store> {
    let folder = store_folder(config);
    create_dir_durably(&folder).with_context(|| format!("making {}", folder.display()))?;
    let store = StoreConfig {
        node: NodeId(1),
        mailbox_groups: config.pool.mailbox_groups,
        min_free_bytes: config.disk_min_free,
        metrics: handles::store_events(&base.metrics),
        on_confirm: arrivals.confirm_hook(),
        fault: super::planted::fault(),
        ..StoreConfig::default()
    };
    let disk = Arc::new(OsDisk::new(&folder));
    let network = crs_cluster::Unreachable;
    Store::open(store, disk, Arc::clone(&base.clock), network, arrivals.hook())
        .await
        .with_context(|| format!("opening the store in {}", folder.display()))
}

/// What a node is made of, before it is joined.
pub(super) struct Ingredients<'a> {
    pub(super) config: &'a Config,
    pub(super) base: &'a Base,
    pub(super) extras: Extras,
    pub(super) store: Store,
    pub(super) arrivals: Arrivals,
    pub(super) sealer: Arc<Sealer>,
    pub(super) watched: Arc<Watched>,
    pub(super) hub: Arc<TraceHub>,
}

impl Ingredients<'_> {
    /// The parts of the tree.
    pub(super) fn join(self, certificates: &Certificates) -> anyhow::Result<NodeParts> {
        let Self { config, base, ref extras, .. } = self;
        let client = settled(config.listen.client)
            .with_context(|| format!("cannot listen on {}", config.listen.client))?;
        Ok(NodeParts {
            name: config.name.clone(),
            id: NodeId(1),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            clock: Arc::clone(&base.clock),
            rng: Box::new(OsRng),
            settings: config.settings.clone(),
            metrics: handles::node(&base.metrics),
            session_metrics: handles::session(&base.metrics),
            session_config: SessionConfig::default(),
            hub: Arc::clone(&self.hub),
            admin: Some(self.admin(certificates, client)),
            store: self.store,
            arrivals: self.arrivals,
            certificate: certificates.shown(),
            pool_keys: config.pool.keys.iter().map(|key| key.secret.clone()).collect(),
            listen: vec![client],
            pool: config.pool.hosts.iter().filter_map(|host| host.ip).collect(),
            fd_limit: usize::try_from(extras.open_files).unwrap_or(usize::MAX),
            relay: Some(RelaySettings {
                relay: config.relay.clone(),
                advertised: config.media_addresses.clone(),
                alarm: alarms::relay(base.clone()),
            }),
            echo: extras.test_echo,
        })
    }

    fn admin(&self, certificates: &Certificates, client: SocketAddr) -> AdminSettings {
        let config = self.config;
        let script = Some(config.paths.scripts.join("notify.sh"));
        AdminSettings {
            path: config.paths.admin_socket.clone(),
            sealer: Arc::clone(&self.sealer),
            probe: Arc::new(ClientProbe::new(self.probe(certificates, client))),
            notifier: Some(self.base.notifier.clone()),
            facts: NodeFacts {
                accounts_dir: config.paths.accounts.clone(),
                data_dir: store_folder(config),
                disk_min_free: config.disk_min_free,
                notify_script: script,
                listen: vec![client],
                watched: Arc::clone(&self.watched),
                started: self.base.clock.mono(),
                open_files_wanted: (config.settings.limits.connections + FD_RESERVE) as u64,
                commands: self.extras.commands.clone(),
            },
        }
    }

    fn probe(&self, certificates: &Certificates, client: SocketAddr) -> ProbeParts {
        let config = self.config;
        let public = config.media_addresses.first().copied().unwrap_or(client.ip());
        let pool_key = config.pool.keys.first().map(|key| key.secret.clone());
        let store = self.store.clone();
        ProbeParts {
            clock: Arc::clone(&self.base.clock),
            // A configuration without a key does not parse.
            pool_key: pool_key.unwrap_or_else(|| Secret::new(Vec::new())),
            trust: certificates.trust(),
            listener: client,
            public: SocketAddr::new(public, client.port()),
            scratch: config.paths.data.join(SCRATCH),
            any_account: Arc::new(move || store.control().accounts.keys().next().cloned()),
        }
    }
}

pub(super) fn trace_hub(metrics: &Metrics) -> Arc<TraceHub> {
    let counter = |name, help| metrics.counter(name, help, &[]);
    TraceHub::new(
        counter("crs_trace_events_total", "Trace events for listeners."),
        counter(
            "crs_trace_dropped_total",
            "Trace events that a listener lost because it read too slowly.",
        ),
    )
}

/// Port 0 becomes a free one, so that all parts know the same.
fn settled(addr: SocketAddr) -> std::io::Result<SocketAddr> {
    if addr.port() == 0 { TcpListener::bind(addr)?.local_addr() } else { Ok(addr) }
}

fn store_folder(config: &Config) -> PathBuf {
    config.paths.data.join(STORE)
}
