//! From a committed item to the clients that wait for it, and to those who watch.

use std::sync::{Arc, OnceLock, Weak};

use crs_proto::wire::message::AckedEvent;
use crs_storage::command::mailbox::Arrival;
use crs_storage::store::{ArrivalHook, ConfirmHook};

use super::confirmed::confirmed;
use crate::context::NodeContext;

/// Carries arrivals from the store to the directory. The store is opened before the node's
/// context exists; what arrives until then finds nobody attached anyway.
#[derive(Clone, Default)]
pub struct Arrivals(Arc<OnceLock<Weak<NodeContext>>>);

impl Arrivals {
    /// Not connected yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What [`crs_storage::Store::open`] is given. It never blocks.
    pub fn hook(&self) -> ArrivalHook {
        let this = self.clone();
        Arc::new(move |arrival| this.arrived(arrival))
    }

    /// What [`crs_storage::StoreConfig`] is given: traces and figures of what was confirmed. It
    /// never blocks.
    pub fn confirm_hook(&self) -> ConfirmHook {
        let this = self.clone();
        ConfirmHook::new(move |command, reply| {
            if let Some(context) = this.0.get().and_then(Weak::upgrade) {
                confirmed(&context, command, reply);
            }
        })
    }

    /// From now on attached clients are told.
    pub fn connect(&self, context: &Arc<NodeContext>) {
        // Connected once; a second call changes nothing.
        let _ = self.0.set(Arc::downgrade(context));
    }

    fn arrived(&self, arrival: &Arrival) {
        let Some(context) = self.0.get().and_then(Weak::upgrade) else { return };
        for registration in context.directory.find(&arrival.user.account, &arrival.user.uri) {
            let newest = arrival.newest;
            registration.handle.news(newest);
            if let Some(receipt) = &arrival.receipt {
                let (mid, by) = (receipt.mid, receipt.by.clone());
                registration.handle.receipt(AckedEvent { mid, by, n: newest });
            }
        }
    }
}
