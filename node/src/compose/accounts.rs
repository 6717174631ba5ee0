//! Keeps the node's view of accounts in step with the control state.

use std::sync::Arc;

use crs_actors::AccountRegistry;
use crs_actors::accounts;
use crs_actors::store::StoredBlobs;
use crs_storage::Store;
use tokio::task::JoinHandle;

/// The task that loads, and what it loads into. The task ends with this value.
pub(super) struct AccountsTask {
    pub(super) registry: Arc<AccountRegistry>,
    pub(super) blobs: StoredBlobs,
    task: JoinHandle<()>,
}

impl AccountsTask {
    /// Loads everything once, then follows.
    pub(super) async fn start(store: &Store) -> Self {
        let registry = Arc::new(AccountRegistry::new());
        let blobs = StoredBlobs::new(store.clone());
        load(store, &registry, &blobs).await;
        let task = tokio::spawn(follow(store.clone(), Arc::clone(&registry), blobs.clone()));
        Self { registry, blobs, task }
    }

    /// Waits until the task has ended, which it does only when the store is gone or it panicked.
    pub(super) async fn ended(&mut self) {
        // Why it ended was told by the panic hook.
        let _ended = (&mut self.task).await;
    }

    pub(super) fn stop(self) {
        self.task.abort();
    }
}

impl Drop for AccountsTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(store: Store, registry: Arc<AccountRegistry>, blobs: StoredBlobs) {
    let mut changes = store.control_changes();
    loop {
        // Also when the state changed between the first load and here.
        if registry.view().version < store.control().version {
            load(&store, &registry, &blobs).await;
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

async fn load(store: &Store, registry: &AccountRegistry, blobs: &StoredBlobs) {
    let view = accounts::load(&store.control(), &registry.view(), blobs).await;
    registry.swap(view);
}
