//! The current [`AccountsView`], rebuilt when the control state changes.

use std::sync::Arc;

use arc_swap::ArcSwap;
use crs_types::BlobHash;
use futures_util::future::BoxFuture;

use super::{AccountsView, Span};

/// Reads pieces of blobs without holding up the caller's thread.
pub trait BlobReader: Send + Sync {
    /// The bytes of each span, in order.
    fn read(
        &self,
        blob: BlobHash,
        spans: Vec<Span>,
    ) -> BoxFuture<'static, std::io::Result<Vec<Vec<u8>>>>;
}

/// Where the present view is found. Reading takes no lock.
#[derive(Debug, Default)]
pub struct AccountRegistry {
    view: ArcSwap<AccountsView>,
}

impl AccountRegistry {
    /// A registry without accounts.
    pub fn new() -> Self {
        Self::default()
    }

    /// The present view. Hold it for one decision, not longer.
    pub fn view(&self) -> Arc<AccountsView> {
        self.view.load_full()
    }

    /// Replaces the view, unless a newer one is there.
    pub fn swap(&self, view: AccountsView) {
        let view = Arc::new(view);
        self.view.rcu(|present| {
            if view.version >= present.version { Arc::clone(&view) } else { Arc::clone(present) }
        });
    }
}
