//! The supervisors of a node and the order in which they are drained (docs/supervision.md).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use crs_actors::NodeContext;
use crs_actors::admin::{self, AdminContext, AdminListener, AdminListenerArguments};
use crs_actors::listener::{self, ListenerShared};
use crs_actors::supervisor::{
    Child, ChildSpec, Intensity, Restart, SupervisorConfig, SupervisorHandle,
};
use ractor::Actor as _;
use tokio::net::TcpListener;

/// Supervisors in order of start; drained in the reverse order.
pub(super) struct Tree {
    context: Arc<NodeContext>,
    supervisors: Vec<(&'static str, SupervisorHandle)>,
}

impl Tree {
    pub(super) fn new(context: &Arc<NodeContext>) -> Self {
        Self { context: Arc::clone(context), supervisors: Vec::new() }
    }

    /// A supervisor of temporary children.
    pub(super) async fn population(
        &mut self,
        name: &'static str,
        population: usize,
    ) -> anyhow::Result<SupervisorHandle> {
        let config = SupervisorConfig { name, intensity: Intensity::default(), population };
        let clock = Arc::clone(&self.context.clock);
        let handle = SupervisorHandle::start(config, clock, &self.context.metrics, None)
            .await
            .with_context(|| format!("starting {name}"))?;
        self.supervisors.push((name, handle.clone()));
        Ok(handle)
    }

    /// The admin socket and its connections.
    pub(super) async fn admin(
        &mut self,
        path: &Path,
        context: Arc<AdminContext>,
    ) -> anyhow::Result<()> {
        let connections = self.population("admin_connection_sup", admin::CONNECTIONS_MAX).await?;
        let ops = self.population("ops", 0).await?;
        let arguments = AdminListenerArguments { path: path.to_owned(), context, connections };
        let spec = ChildSpec::new("admin_listener", Restart::Permanent, move |cell| {
            let arguments = arguments.clone();
            Box::pin(async move {
                let (actor, _) =
                    AdminListener::spawn_linked(None, AdminListener, arguments, cell).await?;
                Ok(Child::actor(&actor))
            })
        });
        ops.start_child(spec).await.context("opening the admin socket")
    }

    /// The client listener; last, for nothing may come in before everything else stands.
    pub(super) async fn listen(
        &mut self,
        socket: TcpListener,
        shared: Arc<ListenerShared>,
    ) -> anyhow::Result<()> {
        let listeners = self.population("listeners", 0).await?;
        let spec = listener::child(Arc::new(socket), shared);
        listeners.start_child(spec).await.context("opening the client port")
    }

    /// The name of a supervisor that gave up. Cancel-safe.
    pub(super) async fn ended(&self) -> &'static str {
        let waits = self.supervisors.iter().map(|(name, handle)| {
            Box::pin(async move {
                handle.wait().await;
                *name
            })
        });
        let (name, _, _) = futures_util::future::select_all(waits).await;
        name
    }

    /// Drains everything, last started first; each within `patience`.
    pub(super) async fn drain(&self, patience: Duration) {
        for (name, handle) in self.supervisors.iter().rev() {
            if let Err(error) = handle.drain(patience).await {
                tracing::warn!(module = "node", %error, "{name} was not stopped in time");
            }
        }
    }
}
