//! The operator's socket within the tree.

use std::path::PathBuf;
use std::sync::Arc;

use crs_keys::seal_at_rest::Sealer;
use crs_ops::Notifier;
use futures_util::FutureExt;
use ractor::Actor;

use super::Node;
use crate::admin::{
    AdminContext, AdminListener, AdminListenerArguments, AdminParts, HealthProbe, NodeFacts,
    RelayView,
};
use crate::context::NodeContext;
use crate::relay::RelayService;
use crate::session::SessionService;
use crate::supervisor::{Child, ChildSpec, Restart, StartError};
use crate::trace::TraceHub;
use crs_storage::Store;

/// What the operator's socket needs.
#[derive(Clone)]
pub struct AdminSettings {
    /// Where the socket is.
    pub path: PathBuf,
    /// Seals and opens account secrets.
    pub sealer: Arc<Sealer>,
    /// Tests of the health check that need a client.
    pub probe: Arc<dyn HealthProbe>,
    /// Where system events go.
    pub notifier: Option<Notifier>,
    /// Fixed facts.
    pub facts: NodeFacts,
}

pub(super) fn context(
    settings: &AdminSettings,
    node: &Arc<NodeContext>,
    store: &Store,
    sessions: &SessionService,
    relay: Option<&RelayService>,
    hub: &Arc<TraceHub>,
) -> Arc<AdminContext> {
    AdminContext::new(AdminParts {
        node: Arc::clone(node),
        store: Arc::new(store.clone()),
        sessions: Arc::new(sessions.clone()),
        relay: relay.map(|relay| Arc::new(relay.clone()) as Arc<dyn RelayView>),
        hub: Arc::clone(hub),
        sealer: Arc::clone(&settings.sealer),
        probe: Arc::clone(&settings.probe),
        notifier: settings.notifier.clone(),
        facts: settings.facts.clone(),
    })
}

/// Starts the socket below `admin_sup`, if the node has one.
pub(super) async fn start(node: &Node) -> Result<(), StartError> {
    let Some((settings, context)) = &node.admin else { return Ok(()) };
    let connections = node.supervisors.admin.clone();
    let arguments = AdminListenerArguments {
        path: settings.path.clone(),
        context: Arc::clone(context),
        connections,
    };
    let spec = ChildSpec::new("admin_listener", Restart::Permanent, move |supervisor| {
        let arguments = arguments.clone();
        async move {
            let (actor, _) =
                AdminListener::spawn_linked(None, AdminListener, arguments, supervisor).await?;
            Ok(Child::actor(&actor))
        }
        .boxed()
    });
    node.supervisors.admin.start_child(spec).await
}
