//! The one supervisor of the node, on ractor: restart policies with intensity and back-off,
//! dynamic populations, and an explicit ordered drain (docs/supervision.md).
//!
//! ractor tells a parent of a child's end and does nothing else; it keeps no arguments, counts no
//! restarts, and kills (without `post_stop`) the children of a parent that ends. So every parent
//! in our tree is this [`Supervisor`], which keeps its own books, and shutting down is the call
//! [`SupervisorHandle::drain`], leaves first.
//!
//! Calls go downwards only. A supervisor never waits for a child's answer except while starting
//! or stopping it, so nothing here can deadlock on a child that calls upwards by mistake.

mod actor;
mod intensity;
mod spec;
mod task;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crs_types::Clock;
use ractor::{Actor, ActorCell, ActorRef, ActorStatus, SpawnErr};

pub use actor::{Supervisor, SupervisorMsg};
pub use intensity::{Intensity, RestartLog, Verdict};
pub use spec::{Child, ChildSpec, Restart, StartError, StartFuture};
pub(crate) use task::OwnedTask;
pub use task::{closing_task_child, task_child};

use crate::handle::{CallError, Gate, Handle};
use crate::metrics::NodeMetrics;

/// Requests that may wait for one supervisor (starts, drains); supervision events of ractor are
/// apart and bounded by the number of children.
const SUPERVISOR_QUEUE: u32 = 64;
/// How long a request to a supervisor may take besides the work itself.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A running supervisor. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SupervisorHandle {
    name: &'static str,
    handle: Handle<SupervisorMsg>,
    population: Arc<Population>,
}

/// How many temporary children a supervisor has and may have.
#[derive(Debug)]
pub(crate) struct Population {
    limit: usize,
    count: AtomicUsize,
}

/// Why a temporary child was not started.
#[derive(Debug, thiserror::Error)]
pub enum PopulationError {
    /// The supervisor has as many children as it may.
    #[error("{name} holds its limit of {limit} actors")]
    Full {
        /// The supervisor.
        name: &'static str,
        /// Its limit.
        limit: usize,
    },
    /// The child's own start failed.
    #[error("start failed: {0}")]
    Start(String),
}

/// What [`SupervisorHandle::start`] needs to know.
#[derive(Debug, Clone)]
pub struct SupervisorConfig {
    /// For logs and errors; never registered anywhere.
    pub name: &'static str,
    /// Restarts allowed before this supervisor gives up and its parent decides.
    pub intensity: Intensity,
    /// Most temporary children at once.
    pub population: usize,
}

impl SupervisorHandle {
    /// Starts a supervisor; `parent` is `None` for the root only. When it gives up, so does its
    /// parent; the root's end shows in [`SupervisorHandle::wait`].
    pub async fn start(
        config: SupervisorConfig,
        clock: Arc<dyn Clock>,
        metrics: &NodeMetrics,
        parent: Option<ActorCell>,
    ) -> Result<Self, SpawnErr> {
        let name = config.name;
        let population = Arc::new(Population::new(config.population));
        let gate = Gate::new(SUPERVISOR_QUEUE, metrics.service_mailbox.clone());
        let arguments = actor::Arguments {
            name,
            intensity: config.intensity,
            clock,
            metrics: metrics.supervision.clone(),
            population: Arc::clone(&population),
            mailbox: metrics.service_mailbox.clone(),
        };
        let (actor, _) = match parent {
            Some(parent) => Supervisor::spawn_linked(None, Supervisor, arguments, parent).await?,
            None => Supervisor::spawn(None, Supervisor, arguments).await?,
        };
        Ok(Self { name, handle: Handle::new(actor, gate), population })
    }

    /// Starts a child that is restarted according to its spec. Children are drained in the
    /// reverse order of their starts.
    pub async fn start_child(&self, spec: ChildSpec) -> Result<(), StartError> {
        let started = self.handle.call(|reply| SupervisorMsg::Start { spec, reply }, CALL_TIMEOUT);
        started.await.map_err(StartError::Supervisor)?
    }

    /// Starts a temporary child: never restarted, its end is only counted and logged. The child
    /// starts in the caller's task, so a population's spawns do not queue behind one another.
    pub async fn spawn<A: Actor>(
        &self,
        actor: A,
        arguments: A::Arguments,
    ) -> Result<ActorRef<A::Msg>, PopulationError> {
        let place = self.population.enter(self.name)?;
        let cell = self.handle.actor().get_cell();
        let (child, _) = A::spawn_linked(None, actor, arguments, cell)
            .await
            .map_err(|e| PopulationError::Start(e.to_string()))?;
        // From here on the supervisor gives the place back when it hears of the child's end.
        place.keep();
        Ok(child)
    }

    /// Ends everything below, leaves first: temporary children, then static children in reverse
    /// order of start, then this supervisor. Whoever has not stopped by the deadline is killed.
    pub async fn drain(&self, deadline: Duration) -> Result<(), CallError> {
        let wait = deadline.saturating_add(CALL_TIMEOUT);
        self.handle.call(|reply| SupervisorMsg::Drain { deadline, reply }, wait).await?;
        let stopped = self.handle.actor().stop_and_wait(None, Some(CALL_TIMEOUT));
        stopped.await.map_err(|_| CallError::Timeout)
    }

    /// Temporary children alive now.
    pub fn population(&self) -> usize {
        self.population.count.load(Ordering::Acquire)
    }

    /// Names and restart counts of the static children, in order of start.
    pub async fn children(&self) -> Result<Vec<(&'static str, u32)>, CallError> {
        self.handle.call(|reply| SupervisorMsg::Children { reply }, CALL_TIMEOUT).await
    }

    /// Waits until the supervisor has ended: by drain, or because it gave up.
    pub async fn wait(&self) {
        let _ = self.handle.actor().wait(None).await;
    }

    /// False once it has been drained or has given up.
    pub fn is_running(&self) -> bool {
        match self.handle.actor().get_status() {
            ActorStatus::Unstarted
            | ActorStatus::Starting
            | ActorStatus::Running
            | ActorStatus::Upgrading
            | ActorStatus::Draining => true,
            ActorStatus::Stopping | ActorStatus::Stopped => false,
        }
    }

    /// The actor, as parent of further supervisors.
    pub fn cell(&self) -> ActorCell {
        self.handle.actor().get_cell()
    }
}

impl Population {
    fn new(limit: usize) -> Self {
        Self { limit, count: AtomicUsize::new(0) }
    }

    fn enter(self: &Arc<Self>, name: &'static str) -> Result<Place, PopulationError> {
        let limit = self.limit;
        self.count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < limit).then_some(n + 1))
            .map_err(|_| PopulationError::Full { name, limit })?;
        Ok(Place(Some(Arc::clone(self))))
    }

    pub(crate) fn leave(&self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A place in a population, given back on drop unless the child lives.
struct Place(Option<Arc<Population>>);

impl Place {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(population) = &self.0 {
            population.leave();
        }
    }
}

#[cfg(test)]
mod tests;
