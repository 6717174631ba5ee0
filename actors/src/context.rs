//! What every actor of a node shares: identity, clock, settings, directory, services, metrics,
//! trace. One per node, passed by reference; nothing in the process is global.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use crs_types::{Clock, ConnectionId, NodeId, NodeName, Rng};

use crate::accounts::{AccountRegistry, BlobReader};
use crate::connection::Crowd;
use crate::directory::Directory;
use crate::metrics::NodeMetrics;
use crate::services::{Mail, Sessions, Updates};
use crate::settings::Settings;
use crate::trace::TraceSink;

/// Shared state of one node; always held as `Arc<NodeContext>`.
pub struct NodeContext {
    /// The operator's name of this node.
    pub name: NodeName,
    /// The node's id in the pool.
    pub id: NodeId,
    /// Server software and version, as `welcome` says it.
    pub version: String,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Accounts, users, blacklists.
    pub accounts: Arc<AccountRegistry>,
    /// Certificates and packages of update files.
    pub blobs: Arc<dyn BlobReader>,
    /// Presence.
    pub directory: Arc<dyn Directory>,
    /// Live trace.
    pub trace: Arc<dyn TraceSink>,
    /// Metric handles.
    pub metrics: NodeMetrics,
    /// Connections and rates by user.
    pub(crate) crowd: Arc<Crowd>,
    rng: Mutex<Box<dyn Rng>>,
    settings: ArcSwap<Settings>,
    connections: AtomicU64,
    drain: Mutex<DrainState>,
    services: OnceLock<Services>,
}

/// The services that need the context themselves, so they are set once after it exists.
#[derive(Clone)]
pub struct Services {
    /// Sessions and relay legs.
    pub sessions: Arc<dyn Sessions>,
    /// Mailboxes.
    pub mail: Arc<dyn Mail>,
    /// Key updates.
    pub updates: Arc<dyn Updates>,
}

/// Where a node stands on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DrainState {
    /// Serving.
    Serving,
    /// No new attaches; clients are asked to move.
    Draining,
    /// Everything is being stopped.
    Stopping,
}

/// What a context is made of.
pub struct ContextParts {
    /// The operator's name of this node.
    pub name: NodeName,
    /// The node's id in the pool.
    pub id: NodeId,
    /// Server software and version.
    pub version: String,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Box<dyn Rng>,
    /// Settings at start.
    pub settings: Settings,
    /// Accounts, users, blacklists.
    pub accounts: Arc<AccountRegistry>,
    /// Certificates and packages of update files.
    pub blobs: Arc<dyn BlobReader>,
    /// Presence.
    pub directory: Arc<dyn Directory>,
    /// Live trace.
    pub trace: Arc<dyn TraceSink>,
    /// Metric handles.
    pub metrics: NodeMetrics,
}

impl NodeContext {
    /// A context without services yet.
    pub fn new(parts: ContextParts) -> Arc<Self> {
        Arc::new(Self {
            name: parts.name,
            id: parts.id,
            version: parts.version,
            crowd: Crowd::new(Arc::clone(&parts.clock)),
            clock: parts.clock,
            accounts: parts.accounts,
            blobs: parts.blobs,
            directory: parts.directory,
            trace: parts.trace,
            metrics: parts.metrics,
            rng: Mutex::new(parts.rng),
            settings: ArcSwap::from_pointee(parts.settings),
            connections: AtomicU64::new(0),
            drain: Mutex::new(DrainState::Serving),
            services: OnceLock::new(),
        })
    }

    /// Joins the services; only the tree calls this, once, before any listener accepts.
    pub fn set_services(&self, services: Services) -> bool {
        self.services.set(services).is_ok()
    }

    /// The services; `None` only while the node is being built.
    pub fn services(&self) -> Option<&Services> {
        self.services.get()
    }

    /// Settings as they are now.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Replaces the settings (SIGHUP).
    pub fn reload(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// A connection id that this run has not used.
    pub fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// `N` random bytes from the node's generator.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).fill(&mut out);
        out
    }

    /// Where the node stands on its way out.
    pub fn drain_state(&self) -> DrainState {
        *self.drain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the node on its way out; never back from stopping.
    pub fn set_drain_state(&self, state: DrainState) {
        let mut now = self.drain.lock().unwrap_or_else(PoisonError::into_inner);
        if *now != DrainState::Stopping {
            *now = state;
        }
    }
}
