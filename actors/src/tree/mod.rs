//! The supervision tree of a node (docs/supervision.md): built bound but idle, started, drained
//! in order, closed.
//!
//! ```text
//! root
//! ├─ store_sup       the store's guard: its failure ends the node
//! ├─ accounts        follows the control state (permanent)
//! ├─ notes           writes notes about users at best effort (permanent)
//! ├─ relay_sup       control of the data plane, allocations
//! ├─ session_sup     calls (temporary)
//! ├─ connection_sup  clients (temporary)
//! ├─ listeners       client ports (transient)
//! └─ admin_sup       the Unix socket (permanent), its connections (temporary)
//! ```
//!
//! A branch that gives up takes the root along, and [`Node::failed`] tells the process to stop.

mod admin;
mod build;
mod drain;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crs_proto::session::SessionConfig;
use crs_storage::Store;
use crs_types::{Clock, NodeId, NodeName, Rng, Secret};
use tokio::net::TcpListener;

pub use admin::AdminSettings;
pub use build::BuildError;
pub use drain::DrainPlan;

use crate::admin::AdminContext;
use crate::context::NodeContext;
use crate::listener::{Capacity, ListenerShared, NodeCertificate};
use crate::metrics::NodeMetrics;
use crate::relay::{RelayService, RelaySettings};
use crate::session::{SessionMetrics, SessionService};
use crate::settings::Settings;
use crate::store::{Arrivals, Notes, StoredBlobs};
use crate::supervisor::{StartError, SupervisorHandle};
use crate::trace::TraceHub;

/// What a node is made of. The composition root opens the store and makes the certificate.
pub struct NodeParts {
    /// The operator's name of this node.
    pub name: NodeName,
    /// The node's id in the pool.
    pub id: NodeId,
    /// Server software and version, as `welcome` says it.
    pub version: String,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Box<dyn Rng>,
    /// Settings at start; [`NodeContext::reload`] replaces them.
    pub settings: Settings,
    /// Metric handles.
    pub metrics: NodeMetrics,
    /// Metric handles of sessions.
    pub session_metrics: SessionMetrics,
    /// Timers and limits of sessions.
    pub session_config: SessionConfig,
    /// Live trace.
    pub hub: Arc<TraceHub>,
    /// The open store.
    pub store: Store,
    /// What the store was opened with.
    pub arrivals: Arrivals,
    /// What the node shows its clients.
    pub certificate: Arc<NodeCertificate>,
    /// Pool keys, newest first.
    pub pool_keys: Vec<Secret>,
    /// Client ports; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Addresses of the pool's nodes.
    pub pool: Vec<IpAddr>,
    /// Files this process may open.
    pub fd_limit: usize,
    /// The media relay; `None`: a node without media.
    pub relay: Option<RelaySettings>,
    /// The operator's socket; `None`: a node without one (tests).
    pub admin: Option<AdminSettings>,
    /// Offer the test-only echo.
    pub echo: bool,
}

/// A node. Dropping it without [`Node::close`] leaves its actors running: close it.
pub struct Node {
    context: Arc<NodeContext>,
    store: Store,
    blobs: Arc<StoredBlobs>,
    notes: Notes,
    sessions: SessionService,
    relay: Option<RelayService>,
    sockets: Vec<Arc<TcpListener>>,
    shared: Arc<ListenerShared>,
    admin: Option<(AdminSettings, Arc<AdminContext>)>,
    supervisors: Supervisors,
}

/// The fixed upper part of the tree.
struct Supervisors {
    root: SupervisorHandle,
    store: SupervisorHandle,
    sessions: SupervisorHandle,
    connections: SupervisorHandle,
    listeners: SupervisorHandle,
    admin: SupervisorHandle,
}

impl Node {
    /// Binds every socket and loads the accounts; nothing is accepted yet.
    pub async fn build(parts: NodeParts) -> Result<Self, BuildError> {
        build::build(parts).await
    }

    /// Starts to serve.
    pub async fn spawn(&self) -> Result<(), StartError> {
        build::spawn(self).await
    }

    /// The addresses that clients can connect to.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }

    /// What all actors share.
    pub fn context(&self) -> &Arc<NodeContext> {
        &self.context
    }

    /// Sessions of this node.
    pub fn sessions(&self) -> &SessionService {
        &self.sessions
    }

    /// The relay of this node.
    pub fn relay(&self) -> Option<&RelayService> {
        self.relay.as_ref()
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Client connections, handshakes included.
    pub fn capacity(&self) -> &Arc<Capacity> {
        &self.shared.capacity
    }

    /// Waits until the node cannot go on, and says why: the store has failed, or supervision has
    /// given up. Cancel-safe.
    pub async fn failed(&self) -> String {
        let mut store = self.store.failed();
        tokio::select! {
            biased;
            failed = store.wait_for(Option::is_some) => match failed {
                Ok(why) => why.clone().unwrap_or_default(),
                Err(_) => "the store has gone".to_owned(),
            },
            () = self.supervisors.root.wait() => "supervision has given up".to_owned(),
        }
    }

    /// Drains: no new connections or attaches, calls may end, clients are asked to move.
    pub async fn drain(&self, plan: DrainPlan) {
        drain::drain(self, plan).await;
    }

    /// Stops everything that is left, leaves first, and closes the store last.
    pub async fn close(self) {
        drain::close(self).await;
    }
}
