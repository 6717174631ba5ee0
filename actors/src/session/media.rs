//! What a session needs of the media relay. The relay's actor implements it; tests use fakes.

use std::fmt;

use crs_proto::session::{MediaReport, RelayFailure};
use crs_proto::wire::relay::{Leg, RelayKind};
use crs_types::{AllocationId, SessionId};
use futures_util::future::BoxFuture;

/// The legs of a new allocation.
#[derive(Debug)]
pub struct Allocated {
    /// Holds the allocation.
    pub lease: Lease,
    /// The caller's leg, as the reply to `relay.alloc` gives it.
    pub caller: Leg,
    /// The callee's leg.
    pub callee: Leg,
}

/// Holds an allocation: both legs are freed when it is dropped, wherever that happens, so that an
/// answer which nobody waits for any more leaves nothing behind.
pub struct Lease {
    id: AllocationId,
    free: Option<Box<dyn FnOnce(AllocationId) + Send + Sync>>,
}

impl Lease {
    /// A lease that calls `free`, which must not wait, when it is dropped.
    pub fn new(id: AllocationId, free: impl FnOnce(AllocationId) + Send + Sync + 'static) -> Self {
        Self { id, free: Some(Box::new(free)) }
    }

    /// The allocation.
    pub fn id(&self) -> AllocationId {
        self.id
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(free) = self.free.take() {
            free(self.id);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&self.id).finish()
    }
}

/// The relay of this node. Futures bound their own waiting.
pub trait MediaRelay: Send + Sync {
    /// Makes two legs. The future may be dropped at any time.
    fn allocate(
        &self,
        kind: RelayKind,
        session: SessionId,
    ) -> BoxFuture<'static, Result<Allocated, RelayFailure>>;
    /// Keeps the unbound legs of an allocation alive.
    fn refresh(&self, id: AllocationId);
    /// What has been seen of both legs, with times of the node's clock; `None` when the allocation
    /// is gone, an error when the relay does not answer now and nothing is known.
    fn report(
        &self,
        id: AllocationId,
    ) -> BoxFuture<'static, Result<Option<MediaReport>, RelayFailure>>;
}

/// A node without media.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRelay;

impl MediaRelay for NoRelay {
    fn allocate(
        &self,
        _: RelayKind,
        _: SessionId,
    ) -> BoxFuture<'static, Result<Allocated, RelayFailure>> {
        Box::pin(async { Err(RelayFailure::Unavailable) })
    }

    fn refresh(&self, _: AllocationId) {}

    fn report(
        &self,
        _: AllocationId,
    ) -> BoxFuture<'static, Result<Option<MediaReport>, RelayFailure>> {
        Box::pin(async { Ok(None) })
    }
}
