//! What a supervisor keeps about a child that it may have to start again.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use ractor::{ActorCell, ActorRef, SpawnErr};

use crate::handle::CallError;

/// When a child is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Whenever it ends.
    Permanent,
    /// When it fails; not after a normal end.
    Transient,
    /// Never.
    Temporary,
}

/// Why a child did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The child's own start failed.
    #[error("{name} did not start: {reason}")]
    Child {
        /// The child.
        name: &'static str,
        /// Its error.
        reason: String,
    },
    /// The supervisor did not answer.
    #[error("the supervisor did not answer: {0}")]
    Supervisor(CallError),
}

/// The future of a child's start.
pub type StartFuture = BoxFuture<'static, Result<Child, SpawnErr>>;

/// A child: how to start it (its arguments live in the closure), and what to do when it ends.
pub struct ChildSpec {
    pub(super) name: &'static str,
    pub(super) restart: Restart,
    pub(super) stop_timeout: Duration,
    pub(super) start: Box<dyn Fn(ActorCell) -> StartFuture + Send + Sync>,
}

impl ChildSpec {
    /// `start` gets the supervisor to link to (`Actor::spawn_linked`) and is called again at each
    /// restart. It must not wait for the network: the supervisor stands still meanwhile.
    pub fn new(
        name: &'static str,
        restart: Restart,
        start: impl Fn(ActorCell) -> StartFuture + Send + Sync + 'static,
    ) -> Self {
        Self { name, restart, stop_timeout: Duration::from_secs(5), start: Box::new(start) }
    }

    /// How long the child may take to stop before it is killed (default 5 s).
    pub fn stop_timeout(mut self, timeout: Duration) -> Self {
        self.stop_timeout = timeout;
        self
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("name", &self.name)
            .field("restart", &self.restart)
            .finish_non_exhaustive()
    }
}

/// A started child.
#[derive(Debug, Clone)]
pub struct Child {
    pub(super) cell: ActorCell,
}

impl Child {
    /// An ordinary actor.
    pub fn actor<M: ractor::Message>(actor: &ActorRef<M>) -> Self {
        Self { cell: actor.get_cell() }
    }
}
