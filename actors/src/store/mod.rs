//! The store as connections, accounts and sessions see it: mailboxes, key updates, blobs, and the
//! wake-up of attached clients when something has been committed for them.

mod arrivals;
mod blobs;
mod confirmed;
mod errors;
mod guard;
mod mail;
mod notes;
mod updates;

use std::sync::{Arc, Weak};

use crs_storage::Store;
use crs_types::{AccountId, Uri};

pub use arrivals::Arrivals;
pub use blobs::StoredBlobs;
pub use guard::store_guard;
pub use notes::Notes;

use crate::context::NodeContext;

/// [`crate::services::Mail`] and [`crate::services::Updates`] over the store. Cheap to clone.
#[derive(Clone)]
pub struct StoreServices {
    store: Store,
    /// The context holds the services, so it is not held back.
    context: Weak<NodeContext>,
    notes: Notes,
}

impl StoreServices {
    /// Services over `store` for the node of `context`.
    pub fn new(store: Store, context: &Arc<NodeContext>) -> Self {
        let notes = Notes::new(context.metrics.service_mailbox.refused.clone());
        Self { store, context: Arc::downgrade(context), notes }
    }

    /// Notes at best effort, whose child the tree starts.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }
}

fn user(account: AccountId, uri: Uri) -> crs_storage::UserKey {
    crs_storage::UserKey { account, uri }
}
