//! The supervisor's actor: books about static children, reaction to their ends, ordered drain.

use std::sync::Arc;
use std::time::Duration;

use crs_types::Clock;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};

use super::{
    Child, ChildSpec, Intensity, OwnedTask, Population, Restart, RestartLog, StartError, Verdict,
};
use crate::handle::{Bounded, Gate, Handle, Reply};
use crate::metrics::{QueueMetrics, SupervisionMetrics};

/// Temporary children get this long to run `post_stop` when the population is drained.
const LEAF_STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Back-offs that may end before the supervisor looks: more static children than any has.
const DUE_QUEUE: u32 = 64;

/// The supervisor actor; see the module's head.
#[derive(Debug)]
pub struct Supervisor;

/// Requests to a supervisor.
#[derive(Debug)]
pub enum SupervisorMsg {
    /// Start a static child.
    Start {
        /// The child.
        spec: ChildSpec,
        /// The outcome of its first start.
        reply: Reply<Result<(), StartError>>,
    },
    /// The back-off of a child is over.
    RestartDue {
        /// Index of the child in order of start.
        index: usize,
    },
    /// End all children, leaves first.
    Drain {
        /// Whoever runs after this long is killed.
        deadline: Duration,
        /// Sent when all have ended.
        reply: Reply<()>,
    },
    /// Names and restart counts.
    Children {
        /// In order of start.
        reply: Reply<Vec<(&'static str, u32)>>,
    },
}

/// What a supervisor is started with.
pub struct Arguments {
    pub(super) name: &'static str,
    pub(super) intensity: Intensity,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: SupervisionMetrics,
    pub(super) population: Arc<Population>,
    pub(super) mailbox: QueueMetrics,
}

/// A supervisor's books.
pub struct State {
    arguments: Arguments,
    log: RestartLog,
    children: Vec<Entry>,
    /// For the children's back-offs, apart from requests: each has one place.
    due: Handle<SupervisorMsg>,
    draining: bool,
}

#[derive(Debug)]
struct Entry {
    spec: ChildSpec,
    running: Option<Child>,
    restarts: u32,
    /// Waits for its next start.
    back_off: Option<OwnedTask>,
}

/// How a child ended.
enum End {
    Normal,
    Failed(String),
}

impl Actor for Supervisor {
    type Msg = Bounded<SupervisorMsg>;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let log = RestartLog::new(arguments.intensity);
        let due = Handle::new(myself, Gate::new(DUE_QUEUE, arguments.mailbox.clone()));
        Ok(State { arguments, log, children: Vec::new(), due, draining: false })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message.take() {
            SupervisorMsg::Start { spec, reply } => {
                reply.send(state.start(&myself.get_cell(), spec).await);
            }
            SupervisorMsg::RestartDue { index } => {
                return state.restart(myself.get_cell(), index).await;
            }
            SupervisorMsg::Drain { deadline, reply } => {
                state.drain(&myself.get_cell(), deadline).await;
                reply.send(());
            }
            SupervisorMsg::Children { reply } => {
                reply.send(state.children.iter().map(|e| (e.spec.name, e.restarts)).collect());
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorStarted(_) => {
                state.arguments.metrics.starts.increment(1);
                Ok(())
            }
            SupervisionEvent::ProcessGroupChanged(_) => Ok(()),
            SupervisionEvent::ActorTerminated(cell, _, reason) => {
                // A kill or a cancelled task is reported as a termination with a reason.
                let end = match reason {
                    Some(reason) if reason == "killed" || reason == "actor_task_cancelled" => {
                        End::Failed(reason)
                    }
                    Some(_) | None => End::Normal,
                };
                state.ended(&cell, end)
            }
            SupervisionEvent::ActorFailed(cell, error) => {
                state.ended(&cell, End::Failed(error.to_string()))
            }
        }
    }
}

impl State {
    async fn start(&mut self, myself: &ActorCell, spec: ChildSpec) -> Result<(), StartError> {
        let failed = |reason| StartError::Child { name: spec.name, reason };
        if self.draining {
            return Err(failed("the supervisor is draining".to_owned()));
        }
        let child = (spec.start)(myself.clone()).await.map_err(|e| failed(e.to_string()))?;
        self.children.push(Entry { spec, running: Some(child), restarts: 0, back_off: None });
        Ok(())
    }

    async fn restart(&mut self, myself: ActorCell, index: usize) -> Result<(), ActorProcessingErr> {
        let draining = self.draining;
        let Some(entry) = self.children.get_mut(index) else { return Ok(()) };
        if draining || entry.running.is_some() {
            return Ok(());
        }
        entry.back_off = None;
        match (entry.spec.start)(myself).await {
            Ok(child) => {
                entry.running = Some(child);
                entry.restarts += 1;
                self.arguments.metrics.restarts.increment(1);
                tracing::info!(
                    supervisor = self.arguments.name,
                    child = entry.spec.name,
                    "restarted"
                );
                Ok(())
            }
            Err(error) => self.schedule(index, &error.to_string()),
        }
    }

    fn ended(&mut self, cell: &ActorCell, end: End) -> Result<(), ActorProcessingErr> {
        let id: ActorId = cell.get_id();
        if let End::Failed(reason) = &end {
            self.arguments.metrics.failures.increment(1);
            tracing::error!(supervisor = self.arguments.name, actor = %id, reason, "actor failed");
        }
        let runs = |e: &Entry| e.running.as_ref().is_some_and(|c| c.cell.get_id() == id);
        let Some(index) = self.children.iter().position(runs) else {
            return self.unlisted_ended(cell, end);
        };
        let entry = &mut self.children[index];
        entry.running = None;
        let again = match (entry.spec.restart, &end) {
            (Restart::Permanent, _) | (Restart::Transient, End::Failed(_)) => !self.draining,
            (Restart::Transient, End::Normal) | (Restart::Temporary, _) => false,
        };
        let reason = match &end {
            End::Normal => "ended",
            End::Failed(reason) => reason,
        };
        if again { self.schedule(index, reason) } else { Ok(()) }
    }

    /// A temporary child has ended, or a supervisor that was linked below this one: when such a
    /// one gives up nobody could start it again, so this one gives up as well.
    fn unlisted_ended(&self, cell: &ActorCell, end: End) -> Result<(), ActorProcessingErr> {
        let supervisor = cell.is_message_type_of::<Bounded<SupervisorMsg>>() == Some(true);
        match (supervisor, end) {
            (false, _) => {
                self.arguments.population.leave();
                Ok(())
            }
            (true, End::Failed(reason)) if !self.draining => {
                self.arguments.metrics.escalations.increment(1);
                Err(format!("{}: {reason}", self.arguments.name).into())
            }
            (true, End::Failed(_) | End::Normal) => Ok(()),
        }
    }

    /// Plans a restart, or fails this supervisor: its parent then decides.
    fn schedule(&mut self, index: usize, reason: &str) -> Result<(), ActorProcessingErr> {
        let child = self.children[index].spec.name;
        match self.log.failed(self.arguments.clock.mono()) {
            Verdict::RestartIn(wait) => {
                let due = self.due.clone();
                self.children[index].back_off = Some(OwnedTask::spawn(async move {
                    tokio::time::sleep(wait).await;
                    // Refused only by a supervisor that has ended.
                    let _ = due.try_cast(SupervisorMsg::RestartDue { index });
                }));
                Ok(())
            }
            Verdict::Escalate => {
                self.arguments.metrics.escalations.increment(1);
                let name = self.arguments.name;
                tracing::error!(supervisor = name, child, reason, "too many restarts, giving up");
                Err(format!("{name}: {child} failed too often, last: {reason}").into())
            }
        }
    }

    async fn drain(&mut self, myself: &ActorCell, deadline: Duration) {
        self.draining = true;
        let begun = self.arguments.clock.mono();
        let left = |clock: &Arc<dyn Clock>| deadline.saturating_sub(clock.mono().since(begun));
        self.drain_population(myself, left(&self.arguments.clock)).await;
        for entry in self.children.iter_mut().rev() {
            let Some(child) = entry.running.take() else { continue };
            let limit = left(&self.arguments.clock);
            stop_or_kill(&child.cell, limit.min(entry.spec.stop_timeout)).await;
        }
    }

    /// Stops all temporary children at once and waits for them together.
    async fn drain_population(&self, myself: &ActorCell, limit: Duration) {
        let own = |cell: &ActorCell| {
            let is =
                |e: &Entry| e.running.as_ref().is_some_and(|c| c.cell.get_id() == cell.get_id());
            self.children.iter().any(is)
        };
        let leaves: Vec<_> = myself.get_children().into_iter().filter(|c| !own(c)).collect();
        leaves.iter().for_each(|leaf| leaf.stop(None));
        let limit = limit.min(LEAF_STOP_TIMEOUT);
        let all = async {
            for leaf in &leaves {
                let _ = leaf.wait(None).await;
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            leaves.iter().for_each(ActorCell::kill);
        }
    }
}

async fn stop_or_kill(cell: &ActorCell, limit: Duration) {
    if cell.stop_and_wait(None, Some(limit)).await.is_err() {
        let _ = cell.kill_and_wait(Some(Duration::from_secs(1))).await;
    }
}
