//! What the commands work on.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crs_keys::seal_at_rest::Sealer;
use crs_ops::{Notifier, SystemEvent};
use crs_types::{Mono, NodeId, Timestamp};
use tokio::sync::Semaphore;

use super::{AdminStore, HealthProbe, RelayView, SessionsView, Watched};
use crate::accounts::AccountRegistry;
use crate::context::NodeContext;
use crate::trace::{DebugEvent, TraceEvent, TraceHub, TraceSink};

/// What an [`AdminContext`] is made of.
pub struct AdminParts {
    /// The node.
    pub node: Arc<NodeContext>,
    /// The store.
    pub store: Arc<dyn AdminStore>,
    /// Sessions of this node.
    pub sessions: Arc<dyn SessionsView>,
    /// The relay; `None` on a node without media.
    pub relay: Option<Arc<dyn RelayView>>,
    /// The trace hub that is also the node's sink.
    pub hub: Arc<TraceHub>,
    /// Seals and opens account secrets.
    pub sealer: Arc<Sealer>,
    /// Tests of the health check that need a client.
    pub probe: Arc<dyn HealthProbe>,
    /// Where system events go; `None` without a hook.
    pub notifier: Option<Notifier>,
    /// Fixed facts.
    pub facts: NodeFacts,
}

/// Commands for the operator of this machine, as they may be pasted.
#[derive(Debug, Clone, Default)]
pub struct OperatorCommands {
    /// Explains the configuration that this node runs with.
    pub check: String,
    /// Has the node read its configuration again.
    pub reload: String,
    /// Starts the node anew.
    pub restart: String,
    /// Shows what it said last.
    pub log: String,
    /// Shows what its relay said last.
    pub relay_log: String,
    /// Lets the node have as many open files as it wants.
    pub open_files: String,
    /// Makes the folder whose name follows for the node's user.
    pub make_folder: String,
}

/// Facts about the node that do not change while it runs.
#[derive(Debug, Clone)]
pub struct NodeFacts {
    /// Directory of the accounts' files (`/opt/crs/accounts`).
    pub accounts_dir: PathBuf,
    /// Directory of the store.
    pub data_dir: PathBuf,
    /// Posts are refused while fewer bytes are free.
    pub disk_min_free: u64,
    /// The notification script, when one is configured.
    pub notify_script: Option<PathBuf>,
    /// Addresses of the client listener.
    pub listen: Vec<SocketAddr>,
    /// What the node's own watch has found.
    pub watched: Arc<Watched>,
    /// Monotonic time of the start.
    pub started: Mono,
    /// Open files that the node wants to be allowed.
    pub open_files_wanted: u64,
    /// What an operator may paste.
    pub commands: OperatorCommands,
}

/// Shared by all admin connections of a node.
pub struct AdminContext {
    pub(super) node: Arc<NodeContext>,
    pub(super) store: Arc<dyn AdminStore>,
    pub(super) accounts: Arc<AccountRegistry>,
    pub(super) sessions: Arc<dyn SessionsView>,
    pub(super) relay: Option<Arc<dyn RelayView>>,
    pub(super) hub: Arc<TraceHub>,
    pub(super) sealer: Arc<Sealer>,
    pub(super) probe: Arc<dyn HealthProbe>,
    pub(super) facts: NodeFacts,
    notifier: Option<Notifier>,
    /// One update file is received at a time: it is held in memory.
    pub(super) uploads: Arc<Semaphore>,
    /// One health check with test clients at a time.
    pub(super) probes: Arc<Semaphore>,
}

impl AdminContext {
    /// Joins the parts.
    pub fn new(parts: AdminParts) -> Arc<Self> {
        Arc::new(Self {
            accounts: Arc::clone(&parts.node.accounts),
            node: parts.node,
            store: parts.store,
            sessions: parts.sessions,
            relay: parts.relay,
            hub: parts.hub,
            sealer: parts.sealer,
            probe: parts.probe,
            facts: parts.facts,
            notifier: parts.notifier,
            uploads: Arc::new(Semaphore::new(1)),
            probes: Arc::new(Semaphore::new(1)),
        })
    }

    /// Wall-clock time.
    pub(super) fn now(&self) -> Timestamp {
        self.node.clock.now()
    }

    /// This node's name, for SERVER and CRS columns.
    pub(super) fn server(&self) -> String {
        self.node.name.to_string()
    }

    /// The name of a node of the pool.
    pub(super) fn name_of(&self, id: NodeId) -> String {
        if id == self.node.id {
            return self.server();
        }
        let control = self.store.control();
        control.nodes.get(&id).map_or_else(|| format!("node {id}"), |node| node.name.to_string())
    }

    /// Hands a system event to the hook, and to who traces events.
    pub(super) fn notify(&self, event: SystemEvent) {
        if self.hub.enabled() {
            self.hub.emit(TraceEvent::Event(DebugEvent {
                time: self.now(),
                module: "system".to_owned(),
                information: format!("{} {}", event.unit(), event.event()),
            }));
        }
        if let Some(notifier) = &self.notifier {
            notifier.notify(event);
        }
    }
}

impl fmt::Debug for AdminContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminContext").field("node", &self.node.name).finish_non_exhaustive()
    }
}
