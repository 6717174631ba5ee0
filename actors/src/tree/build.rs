//! From parts to a node: bound but idle, then serving.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crs_storage::Store;
use futures_util::FutureExt;
use ractor::{ActorCell, SpawnErr};
use tokio::net::{TcpListener, TcpSocket};

use super::{Node, NodeParts, Supervisors, admin};
use crate::accounts::{self, AccountRegistry, UpdateBlobs};
use crate::admin::CONNECTIONS_MAX;
use crate::context::{ContextParts, NodeContext, Services};
use crate::directory::LocalDirectory;
use crate::listener::{
    self, Capacity, FD_RESERVE, Failures, HANDSHAKES_MAX, ListenerShared, Newcomers, RefusedLines,
    TestClients, TlsError, TlsSettings,
};
use crate::relay::RelayService;
use crate::session::{MediaRelay, NoRelay, SessionService};
use crate::store::{StoreServices, StoredBlobs, store_guard};
use crate::supervisor::{
    Intensity, Restart, StartError, SupervisorConfig, SupervisorHandle, task_child,
};

/// Connections that may wait in the kernel to be accepted: a storm of reconnects.
const BACKLOG: u32 = 4096;
/// Most sessions that `limit sessions` may allow.
const SESSIONS_MAX: usize = 1_000_000;

/// A node could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A client port cannot be bound.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// TLS settings.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A supervisor did not start.
    #[error("supervision: {0}")]
    Supervisor(#[from] SpawnErr),
    /// The store has failed already.
    #[error("store: {0}")]
    Store(StartError),
    /// The relay did not start.
    #[error("relay: {0}")]
    Relay(StartError),
}

pub(super) async fn build(parts: NodeParts) -> Result<Node, BuildError> {
    let sockets = bind(&parts.listen, BACKLOG)?;
    let blobs = Arc::new(StoredBlobs::new(parts.store.clone()));
    let context = NodeContext::new(ContextParts {
        name: parts.name,
        id: parts.id,
        version: parts.version,
        clock: parts.clock,
        rng: parts.rng,
        settings: parts.settings,
        accounts: Arc::new(AccountRegistry::new()),
        blobs: Arc::clone(&blobs) as _,
        directory: Arc::new(LocalDirectory::new()),
        trace: Arc::clone(&parts.hub) as _,
        metrics: parts.metrics,
    });
    accounts::refresh(&context, &parts.store, &*blobs).await;
    let supervisors = supervisors(&context).await?;
    guard(&supervisors.store, &parts.store).await.map_err(BuildError::Store)?;
    let relay = match parts.relay {
        Some(settings) => {
            let (clock, metrics) = (Arc::clone(&context.clock), &context.metrics);
            let parent = Some(supervisors.root.cell());
            let started = RelayService::start(settings, clock, metrics, parent).await;
            Some(started.map_err(BuildError::Relay)?)
        }
        None => None,
    };
    let media = media(relay.as_ref());
    let below = supervisors.sessions.clone();
    let sessions =
        SessionService::new(&context, below, media, parts.session_config, parts.session_metrics);
    let stored = StoreServices::new(parts.store.clone(), &context);
    let notes = stored.notes().clone();
    context.set_services(Services {
        sessions: Arc::new(sessions.clone()),
        mail: Arc::new(stored.clone()),
        updates: Arc::new(stored),
    });
    parts.arrivals.connect(&context);
    let tls = TlsSettings::new(
        parts.certificate,
        Arc::clone(&context.accounts),
        Arc::clone(&context.clock),
        TestClients::new(parts.pool_keys),
    )?;
    let shared = Arc::new(ListenerShared {
        context: Arc::clone(&context),
        tls,
        connections: supervisors.connections.clone(),
        capacity: Capacity::new(),
        failures: Failures::new(),
        newcomers: Newcomers::new(),
        refused: RefusedLines::default(),
        fd_limit: parts.fd_limit,
        handshakes: HANDSHAKES_MAX,
        pool: parts.pool.into(),
        echo: parts.echo,
        limit_loopback: false,
    });
    if parts.fd_limit <= FD_RESERVE {
        tracing::warn!(limit = parts.fd_limit, "too few open files allowed to serve any client");
    }
    let (hub, store) = (parts.hub, parts.store);
    let admin = parts.admin.map(|settings| {
        let shared = admin::context(&settings, &context, &store, &sessions, relay.as_ref(), &hub);
        (settings, shared)
    });
    Ok(Node { context, store, blobs, notes, sessions, relay, sockets, shared, admin, supervisors })
}

/// Starts the guard of the store, unless the store has failed already.
async fn guard(supervisor: &SupervisorHandle, store: &Store) -> Result<(), StartError> {
    let failed = store.failed().borrow().clone();
    match failed {
        Some(reason) => Err(StartError::Child { name: "store", reason }),
        None => supervisor.start_child(store_guard(store.clone())).await,
    }
}

/// What sessions ask for legs.
fn media(relay: Option<&RelayService>) -> Arc<dyn MediaRelay> {
    match relay {
        Some(relay) => Arc::new(relay.clone()),
        None => Arc::new(NoRelay),
    }
}

pub(super) async fn spawn(node: &Node) -> Result<(), StartError> {
    let (context, store) = (Arc::clone(&node.context), node.store.clone());
    let blobs: Arc<dyn UpdateBlobs> = Arc::clone(&node.blobs) as _;
    let follower = task_child("accounts", Restart::Permanent, move || {
        accounts::follow(Arc::clone(&context), store.clone(), Arc::clone(&blobs)).boxed()
    });
    node.supervisors.root.start_child(follower).await?;
    node.supervisors.root.start_child(node.notes.child(node.store.clone())).await?;
    admin::start(node).await?;
    for socket in &node.sockets {
        let child = listener::child(Arc::clone(socket), Arc::clone(&node.shared));
        node.supervisors.listeners.start_child(child).await?;
    }
    Ok(())
}

async fn supervisors(context: &Arc<NodeContext>) -> Result<Supervisors, SpawnErr> {
    let root = supervisor(context, "root", 0, None).await?;
    let below = Some(root.cell());
    // A store that has failed is not started again.
    let never = Intensity { restarts: 0, ..Intensity::default() };
    let config = SupervisorConfig { name: "store_sup", intensity: never, population: 0 };
    let (clock, metrics) = (Arc::clone(&context.clock), &context.metrics);
    let store = SupervisorHandle::start(config, clock, metrics, below.clone()).await?;
    Ok(Supervisors {
        sessions: supervisor(context, "session_sup", SESSIONS_MAX, below.clone()).await?,
        // The listener's capacity is the limit, which SIGHUP may raise; this one never is.
        connections: supervisor(context, "connection_sup", usize::MAX, below.clone()).await?,
        listeners: supervisor(context, "listeners", 0, below.clone()).await?,
        admin: supervisor(context, "admin_sup", CONNECTIONS_MAX, below).await?,
        store,
        root,
    })
}

async fn supervisor(
    context: &Arc<NodeContext>,
    name: &'static str,
    population: usize,
    parent: Option<ActorCell>,
) -> Result<SupervisorHandle, SpawnErr> {
    let config = SupervisorConfig { name, intensity: Intensity::default(), population };
    SupervisorHandle::start(config, Arc::clone(&context.clock), &context.metrics, parent).await
}

/// Binds without SO_REUSEPORT: two nodes on one port would split each other's clients.
fn bind(addrs: &[SocketAddr], backlog: u32) -> Result<Vec<Arc<TcpListener>>, BuildError> {
    let one = |addr: &SocketAddr| -> io::Result<_> {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(*addr)?;
        Ok(Arc::new(socket.listen(backlog)?))
    };
    let bound = addrs
        .iter()
        .map(|addr| one(addr).map_err(|source| BuildError::Bind { addr: *addr, source }));
    bound.collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    /// With a queue of two: the kernel takes one more than it is told and leaves the rest without
    /// an answer until there is a place again.
    #[tokio::test]
    async fn the_kernels_queue_has_the_length_it_is_told() {
        const SHORT: u32 = 2;
        let bound = bind(&["127.0.0.1:0".parse().unwrap()], SHORT).unwrap();
        let address = bound[0].local_addr().unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(100));
        let waiting: Vec<_> = (0..16).map_while(|_| connect().ok()).collect();
        assert_eq!(waiting.len(), SHORT as usize + 1);
        for _ in 0..waiting.len() {
            bound[0].accept().await.unwrap();
        }
        connect().unwrap();
    }
}
