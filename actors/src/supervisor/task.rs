//! Long-running tasks as supervised children: a task that ends or panics is a failed actor.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::AbortHandle;

use super::{Child, ChildSpec, Restart};
use crate::handle::{Bounded, Gate, Handle};
use crate::metrics::QueueMetrics;

/// A child that runs what `task` makes, anew at each restart. The task is meant to run until its
/// actor is stopped; the text it ends with says why it could not go on.
pub fn task_child(
    name: &'static str,
    restart: Restart,
    task: impl Fn() -> BoxFuture<'static, String> + Send + Sync + 'static,
) -> ChildSpec {
    ChildSpec::new(name, restart, move |supervisor| {
        let task = task();
        async move {
            let (actor, _) = TaskActor::spawn_linked(None, TaskActor, task, supervisor).await?;
            Ok(Child::actor(&actor))
        }
        .boxed()
    })
}

struct TaskActor;

/// The task has ended, for this reason.
struct Ended(String);

/// The running task; aborted however the actor ends.
struct Running(AbortHandle);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Actor for TaskActor {
    type Msg = Bounded<Ended>;
    type State = Running;
    type Arguments = BoxFuture<'static, String>;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        task: Self::Arguments,
    ) -> Result<Running, ActorProcessingErr> {
        let handle = Handle::new(myself, Gate::new(1, QueueMetrics::default()));
        let running = tokio::spawn(async move {
            let ended = AssertUnwindSafe(task).catch_unwind().await;
            let why = ended.unwrap_or_else(|_| "it panicked".to_owned());
            let _ = handle.try_cast(Ended(why));
        });
        Ok(Running(running.abort_handle()))
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        message: Self::Msg,
        _: &mut Running,
    ) -> Result<(), ActorProcessingErr> {
        Err(message.take().0.into())
    }
}
