//! What a session needs of the media relay. The relay's actor implements it; tests use fakes.

use crs_proto::session::{MediaReport, RelayFailure};
use crs_proto::wire::relay::{Leg, RelayKind};
use crs_types::{AllocationId, SessionId};
use futures_util::future::BoxFuture;

/// The legs of a new allocation.
#[derive(Debug, Clone)]
pub struct Allocated {
    /// The allocation.
    pub id: AllocationId,
    /// The caller's leg, as the reply to `relay.alloc` gives it.
    pub caller: Leg,
    /// The callee's leg.
    pub callee: Leg,
}

/// The relay of this node. Futures bound their own waiting.
pub trait MediaRelay: Send + Sync {
    /// Makes two legs.
    fn allocate(
        &self,
        kind: RelayKind,
        session: SessionId,
    ) -> BoxFuture<'static, Result<Allocated, RelayFailure>>;
    /// Keeps the unbound legs of an allocation alive. Sessions do this every 20 s.
    fn refresh(&self, id: AllocationId);
    /// Frees both legs. Repeating it is harmless.
    fn free(&self, id: AllocationId);
    /// What has been seen of both legs, with times of the node's clock; `None` when the allocation
    /// is gone.
    fn report(&self, id: AllocationId) -> BoxFuture<'static, Option<MediaReport>>;
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

    fn free(&self, _: AllocationId) {}

    fn report(&self, _: AllocationId) -> BoxFuture<'static, Option<MediaReport>> {
        Box::pin(async { None })
    }
}
