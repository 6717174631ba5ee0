//! The store's place in the supervision tree: it fails when the store does, and closes the store
//! when it is stopped. A store that has failed is not restarted: its supervisor gives up, and the
//! node stops (it never limps).

use std::time::Duration;

use crs_storage::Store;
use futures_util::FutureExt;

use crate::supervisor::{ChildSpec, Restart, closing_task_child};

/// How long closing may take: snapshots are not waited for, the tables are written back.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// The child that guards `store`. Start it first: children stop in reverse order, so the store
/// closes after everything that uses it. Its supervisor must allow no restarts.
pub fn store_guard(store: Store) -> ChildSpec {
    let guarded = store.clone();
    let watch = move || failure(guarded.clone()).boxed();
    let close = move || {
        let store = store.clone();
        async move { store.close().await }.boxed()
    };
    closing_task_child("store", Restart::Transient, watch, close).stop_timeout(CLOSE_TIMEOUT)
}

/// Waits until the store has failed for good; why.
async fn failure(store: Store) -> String {
    let mut failed = store.failed();
    match failed.wait_for(Option::is_some).await {
        Ok(reason) => reason.clone().unwrap_or_default(),
        Err(_) => "the store is gone".to_owned(),
    }
}

#[cfg(test)]
mod tests;
