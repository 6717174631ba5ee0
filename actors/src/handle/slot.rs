//! Where the handle of a restartable actor is found: its start function fills the slot anew.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::{CastError, Handle};

/// A shared place for the present handle of an actor that its supervisor may restart.
#[derive(Debug)]
pub struct HandleSlot<M: Send + 'static>(Arc<ArcSwapOption<Handle<M>>>);

impl<M: Send + 'static> HandleSlot<M> {
    /// An empty slot: the actor has not started.
    pub fn new() -> Self {
        Self(Arc::new(ArcSwapOption::empty()))
    }

    /// Fills the slot; called by the actor's start function.
    pub fn set(&self, handle: Handle<M>) {
        self.0.store(Some(Arc::new(handle)));
    }

    /// The present handle.
    pub fn get(&self) -> Option<Handle<M>> {
        self.0.load().as_deref().cloned()
    }

    /// Queues a message with the present actor.
    pub fn try_cast(&self, message: M) -> Result<(), CastError> {
        match &*self.0.load() {
            Some(handle) => handle.try_cast(message),
            None => Err(CastError::Gone),
        }
    }
}

impl<M: Send + 'static> Default for HandleSlot<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Send + 'static> Clone for HandleSlot<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
