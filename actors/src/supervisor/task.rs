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
    closing_task_child(name, restart, task, || std::future::ready(()).boxed())
}

/// The same, with something to wait for when the child is stopped in order.
pub fn closing_task_child(
    name: &'static str,
    restart: Restart,
    task: impl Fn() -> BoxFuture<'static, String> + Send + Sync + 'static,
    close: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
) -> ChildSpec {
    ChildSpec::new(name, restart, move |supervisor| {
        let work = (task(), close());
        async move {
            let (actor, _) = TaskActor::spawn_linked(None, TaskActor, work, supervisor).await?;
            Ok(Child::actor(&actor))
        }
        .boxed()
    })
}

struct TaskActor;

/// The task has ended, for this reason.
struct Ended(String);

/// A task that is aborted when its owner drops this.
#[derive(Debug)]
pub(crate) struct OwnedTask(AbortHandle);

impl OwnedTask {
    /// Runs `task`.
    pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task).abort_handle())
    }
}

impl Drop for OwnedTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The task, which ends however the actor ends, and what an orderly stop waits for.
struct Running {
    task: Option<OwnedTask>,
    close: Option<BoxFuture<'static, ()>>,
}

impl Actor for TaskActor {
    type Msg = Bounded<Ended>;
    type State = Running;
    type Arguments = (BoxFuture<'static, String>, BoxFuture<'static, ()>);

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        (task, close): Self::Arguments,
    ) -> Result<Running, ActorProcessingErr> {
        let handle = Handle::new(myself, Gate::new(1, QueueMetrics::default()));
        let task = OwnedTask::spawn(async move {
            let ended = AssertUnwindSafe(task).catch_unwind().await;
            let why = ended.unwrap_or_else(|_| "it panicked".to_owned());
            let _ = handle.try_cast(Ended(why));
        });
        Ok(Running { task: Some(task), close: Some(close) })
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        message: Self::Msg,
        _: &mut Running,
    ) -> Result<(), ActorProcessingErr> {
        Err(message.take().0.into())
    }

    async fn post_stop(
        &self,
        _: ActorRef<Self::Msg>,
        running: &mut Running,
    ) -> Result<(), ActorProcessingErr> {
        running.task = None;
        if let Some(close) = running.close.take() {
            close.await;
        }
        Ok(())
    }
}
