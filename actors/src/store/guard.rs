//! The store's place in the supervision tree: it fails when the store does, and closes the store
//! when it is stopped. A store that has failed is not restarted: its supervisor gives up, and the
//! node stops (it never limps).

use crs_storage::Store;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::JoinHandle;

use crate::supervisor::{Child, ChildSpec, Restart};

/// How long closing may take: snapshots are not waited for, the tables are written back.
const CLOSE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// The actor; its arguments are the opened store.
#[derive(Debug)]
pub struct StoreGuard;

/// What the guard is told.
#[derive(Debug)]
pub enum StoreGuardMsg {
    /// The store has failed for good.
    Failed(String),
}

/// The guard's state.
#[derive(Debug)]
pub struct StoreGuardState {
    store: Store,
    watch: JoinHandle<()>,
}

impl StoreGuard {
    /// How a supervisor starts it. Start it first: children stop in reverse order, so the store
    /// closes after everything that uses it. Its supervisor must allow no restarts.
    pub fn spec(store: Store) -> ChildSpec {
        let start = move |supervisor| -> crate::supervisor::StartFuture {
            let store = store.clone();
            Box::pin(async move {
                let (actor, _) = Self::spawn_linked(None, Self, store, supervisor).await?;
                Ok(Child::actor(&actor))
            })
        };
        ChildSpec::new("store", Restart::Transient, start).stop_timeout(CLOSE_TIMEOUT)
    }
}

impl Actor for StoreGuard {
    type Msg = StoreGuardMsg;
    type State = StoreGuardState;
    type Arguments = Store;

    async fn pre_start(
        &self,
        myself: ActorRef<StoreGuardMsg>,
        store: Store,
    ) -> Result<StoreGuardState, ActorProcessingErr> {
        let mut failed = store.failed();
        if let Some(reason) = failed.borrow().clone() {
            return Err(reason.into());
        }
        let watch = tokio::spawn(async move {
            let reason = match failed.wait_for(Option::is_some).await {
                Ok(reason) => reason.clone().unwrap_or_default(),
                Err(_) => "the store is gone".to_owned(),
            };
            // When the guard is gone already, the node is stopping anyway.
            let _ = myself.cast(StoreGuardMsg::Failed(reason));
        });
        Ok(StoreGuardState { store, watch })
    }

    async fn handle(
        &self,
        _myself: ActorRef<StoreGuardMsg>,
        message: StoreGuardMsg,
        _state: &mut StoreGuardState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            StoreGuardMsg::Failed(reason) => Err(reason.into()),
        }
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<StoreGuardMsg>,
        state: &mut StoreGuardState,
    ) -> Result<(), ActorProcessingErr> {
        state.watch.abort();
        state.store.close().await;
        Ok(())
    }
}
