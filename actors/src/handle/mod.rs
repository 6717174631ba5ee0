//! Bounded handles: the only way a message reaches an actor.
//!
//! ractor's mailboxes have no limit, so every message carries a permit of its actor's [`Gate`];
//! at the limit the sender is refused and the refusal counted. Handles are cheap to clone.

mod gate;
mod slot;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ractor::ActorRef;
use tokio::sync::oneshot;

pub use gate::{Gate, Permit};
pub use slot::HandleSlot;

/// What actually lies in an actor's mailbox: the message and its place in the queue. An actor
/// declares `type Msg = Bounded<M>` and calls [`Bounded::take`] first thing in `handle`.
#[derive(Debug)]
pub struct Bounded<M> {
    message: M,
    permit: Permit,
}

impl<M> Bounded<M> {
    /// The message; its place in the queue becomes free.
    pub fn take(self) -> M {
        drop(self.permit);
        self.message
    }
}

/// A handle to an actor whose message type is [`Bounded<M>`].
pub struct Handle<M: Send + 'static> {
    actor: ActorRef<Bounded<M>>,
    gate: Arc<Gate>,
}

/// Why a message was not queued. The message comes back where the sender may need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CastError {
    /// The actor's queue is at its limit.
    #[error("the queue is full")]
    Full,
    /// The actor has ended.
    #[error("the actor has ended")]
    Gone,
}

/// Why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The message was not queued.
    #[error(transparent)]
    Cast(#[from] CastError),
    /// No answer in time. The actor may still act on the message.
    #[error("no answer in time")]
    Timeout,
}

/// Where an actor sends the answer of a call. Dropping it answers [`CastError::Gone`].
#[derive(Debug)]
pub struct Reply<T>(oneshot::Sender<T>);

impl<T> Reply<T> {
    /// Answers; a caller that no longer waits is ignored.
    pub fn send(self, value: T) {
        let _ = self.0.send(value);
    }

    /// A reply and the end that waits for it, for calls made without a handle.
    pub fn pair() -> (Self, oneshot::Receiver<T>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }
}

impl<M: Send + 'static> Handle<M> {
    /// A handle to `actor`, all of whose handles must share `gate`.
    pub fn new(actor: ActorRef<Bounded<M>>, gate: Arc<Gate>) -> Self {
        Self { actor, gate }
    }

    /// Queues a message, or refuses at once.
    pub fn try_cast(&self, message: M) -> Result<(), CastError> {
        let permit = self.gate.enter().ok_or(CastError::Full)?;
        self.actor.send_message(Bounded { message, permit }).map_err(|_| CastError::Gone)
    }

    /// Sends a message and waits for its answer, never longer than `timeout`.
    pub async fn call<T: Send + 'static>(
        &self,
        message: impl FnOnce(Reply<T>) -> M + Send,
        timeout: Duration,
    ) -> Result<T, CallError> {
        // Bound first: the future of `begin` does not hold the message.
        let answer = self.begin(message, timeout);
        answer.await
    }

    /// As [`Handle::call`], but the message is in the queue when this returns: whoever begins
    /// several calls has them taken in that order, whenever it waits for the answers.
    pub fn begin<T: Send + 'static, F: FnOnce(Reply<T>) -> M>(
        &self,
        message: F,
        timeout: Duration,
    ) -> impl Future<Output = Result<T, CallError>> + Send + use<T, F, M> {
        let (reply, answer) = Reply::pair();
        let sent = self.try_cast(message(reply));
        async move {
            sent?;
            match tokio::time::timeout(timeout, answer).await {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(_)) => Err(CallError::Cast(CastError::Gone)),
                Err(_) => Err(CallError::Timeout),
            }
        }
    }

    /// The actor, for its supervisor and for stopping it.
    pub fn actor(&self) -> &ActorRef<Bounded<M>> {
        &self.actor
    }

    /// The queue's limit and counters.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }
}

impl<M: Send + 'static> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self { actor: self.actor.clone(), gate: Arc::clone(&self.gate) }
    }
}

impl<M: Send + 'static> fmt::Debug for Handle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("actor", &self.actor.get_id())
            .field("depth", &self.gate.depth())
            .finish()
    }
}

#[cfg(test)]
mod tests;
