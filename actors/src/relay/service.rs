//! What sessions and the operator's commands ask of the relay.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use crs_proto::session::{MediaReport, RelayFailure};
use crs_proto::wire::relay::RelayKind;
use crs_relay::{RelayConfig, RelayCounters, RelayLimits, RelayReader};
use crs_types::{AllocationId, Clock, SessionId};
use futures_util::future::BoxFuture;
use ractor::{Actor, ActorCell};

use super::control::{Arguments, ControlActor, Ending, RELAY_FREES, RELAY_QUEUE, RelayMsg};
use super::figures::AllFigures;
use crate::admin::{RelayResource, RelayView};
use crate::handle::{Gate, HandleSlot};
use crate::metrics::{NodeMetrics, QueueMetrics};
use crate::session::{Allocated, MediaRelay};
use crate::supervisor::{
    Child, ChildSpec, Intensity, Restart, StartError, SupervisorConfig, SupervisorHandle,
};

/// Longest wait for the control actor.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// What the node's owner should hear (notify.sh: `relay/limit`, `relay/down`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayAlarm {
    /// An allocation was refused by a limit; the text names it.
    Limit(String),
    /// A pinned thread ended by itself; the data plane is being restarted.
    Down {
        /// Which thread.
        thread: usize,
    },
    /// It runs again.
    Up,
}

/// What the relay is started with.
#[derive(Clone)]
pub struct RelaySettings {
    /// The data plane.
    pub relay: RelayConfig,
    /// Addresses that clients are told, best first, with the bound port; empty: those bound.
    pub advertised: Vec<IpAddr>,
    /// Called from the control actor; must not block.
    pub alarm: Arc<dyn Fn(RelayAlarm) + Send + Sync>,
}

/// What the control actor and the service's handles share over restarts of the actor.
pub(super) struct Shared {
    pub(super) settings: RelaySettings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) allocations: SupervisorHandle,
    pub(super) gate: Arc<Gate>,
    pub(super) frees: Arc<Gate>,
    pub(super) queue_metrics: QueueMetrics,
    pub(super) handle: HandleSlot<RelayMsg>,
    pub(super) reader: ArcSwapOption<RelayReader>,
    pub(super) addresses: ArcSwap<Vec<SocketAddr>>,
    pub(super) running: AtomicBool,
    /// Starts of the control actor.
    pub(super) runs: AtomicU64,
    pub(super) ending: Ending,
    pub(super) figures: AllFigures,
}

/// The relay of one node. Cheap to clone.
#[derive(Clone)]
pub struct RelayService {
    shared: Arc<Shared>,
    supervisor: SupervisorHandle,
}

impl RelayService {
    /// Starts `relay_sup` below `parent`, with the control actor (permanent) and `allocation_sup`
    /// (temporary children). Fails when the media address cannot be bound.
    pub async fn start(
        settings: RelaySettings,
        clock: Arc<dyn Clock>,
        metrics: &NodeMetrics,
        parent: Option<ActorCell>,
    ) -> Result<Self, StartError> {
        let population = settings.relay.max_legs / 2;
        let config = |name, population| SupervisorConfig {
            name,
            intensity: Intensity::default(),
            population,
        };
        let refused = |error: ractor::SpawnErr| StartError::Child {
            name: "relay_sup",
            reason: error.to_string(),
        };
        let supervisor =
            SupervisorHandle::start(config("relay_sup", 0), Arc::clone(&clock), metrics, parent)
                .await
                .map_err(refused)?;
        let below = config("allocation_sup", population);
        let parent = Some(supervisor.cell());
        let allocations = SupervisorHandle::start(below, Arc::clone(&clock), metrics, parent)
            .await
            .map_err(refused)?;
        let queue_metrics = metrics.service_mailbox.clone();
        let shared = Arc::new(Shared {
            settings,
            clock,
            allocations,
            gate: Gate::new(RELAY_QUEUE, queue_metrics.clone()),
            frees: Gate::new(RELAY_FREES, queue_metrics.clone()),
            queue_metrics,
            handle: HandleSlot::new(),
            reader: ArcSwapOption::empty(),
            addresses: ArcSwap::default(),
            running: AtomicBool::new(false),
            runs: AtomicU64::new(0),
            ending: Ending::default(),
            figures: AllFigures::default(),
        });
        let child = Arc::clone(&shared);
        let spec = ChildSpec::new("relay_control", Restart::Permanent, move |cell| {
            let arguments = Arguments { shared: Arc::clone(&child) };
            Box::pin(async move {
                let (actor, _) =
                    ControlActor::spawn_linked(None, ControlActor, arguments, cell).await?;
                Ok(Child::actor(&actor))
            })
        });
        supervisor.start_child(spec).await?;
        Ok(Self { shared, supervisor })
    }

    /// Addresses that clients are told.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.shared.addresses.load().to_vec()
    }

    /// Replaces the limits of `crs-relay.conf` (SIGHUP). False: the relay does not take requests.
    pub fn set_limits(&self, limits: RelayLimits) -> bool {
        self.shared.handle.try_cast(RelayMsg::Limits(limits)).is_ok()
    }

    /// The supervisor, for the ordered drain: sessions before it.
    pub fn supervisor(&self) -> &SupervisorHandle {
        &self.supervisor
    }

    /// Relays live, made and refused.
    pub(super) fn figures(&self) -> &AllFigures {
        &self.shared.figures
    }

    #[cfg(test)]
    pub(super) fn shared_for_tests(&self) -> &Shared {
        &self.shared
    }

    /// Sums over all threads.
    pub fn counters(&self) -> RelayCounters {
        self.shared.reader.load().as_ref().map(|reader| reader.counters()).unwrap_or_default()
    }
}

impl MediaRelay for RelayService {
    fn allocate(
        &self,
        kind: RelayKind,
        session: SessionId,
    ) -> BoxFuture<'static, Result<Allocated, RelayFailure>> {
        let handle = self.shared.handle.get();
        Box::pin(async move {
            let handle = handle.ok_or(RelayFailure::Unavailable)?;
            let ask = |reply| RelayMsg::Allocate(kind, session, reply);
            let answer = handle.call(ask, CALL_TIMEOUT).await;
            answer.map_err(|_| RelayFailure::Unavailable)?
        })
    }

    fn refresh(&self, id: AllocationId) {
        // Lost at a full queue; the session refreshes three times in a leg's lifetime.
        let _ = self.shared.handle.try_cast(RelayMsg::Refresh(id));
    }

    fn report(
        &self,
        id: AllocationId,
    ) -> BoxFuture<'static, Result<Option<MediaReport>, RelayFailure>> {
        let handle = self.shared.handle.get();
        Box::pin(async move {
            let handle = handle.ok_or(RelayFailure::Unavailable)?;
            let ask = |reply| RelayMsg::Report(id, reply);
            handle.call(ask, CALL_TIMEOUT).await.map_err(|_| RelayFailure::Unavailable)
        })
    }
}

impl RelayView for RelayService {
    fn running(&self) -> bool {
        self.shared.running.load(Ordering::Acquire)
    }

    fn counters(&self) -> RelayCounters {
        Self::counters(self)
    }

    fn resources(&self) -> BoxFuture<'static, Vec<RelayResource>> {
        let handle = self.shared.handle.get();
        Box::pin(async move {
            let Some(handle) = handle else { return Vec::new() };
            handle.call(RelayMsg::Resources, CALL_TIMEOUT).await.unwrap_or_default()
        })
    }
}
