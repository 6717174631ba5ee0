//! The state machine as Raft sees it: every call is moved to a blocking thread.

use std::sync::Arc;

use openraft::impls::EmptyNode;
use openraft::storage::{RaftStateMachine, Snapshot};
use openraft::{
    AnyError, Entry, LogId, OptionalSend, RaftSnapshotBuilder, SnapshotMeta, StorageError,
    StorageIOError, StoredMembership,
};

use super::group_state::GroupState;
use super::snapshot::SnapshotFile;
use super::state_error::StateError;
use super::types::{Replies, TypeConfig};

/// A group's state machine.
#[derive(Clone)]
pub struct StateMachine {
    state: Arc<GroupState>,
}

impl StateMachine {
    pub(crate) fn new(state: Arc<GroupState>) -> Self {
        Self { state }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&GroupState) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StorageError<u64>> {
        let state = Arc::clone(&self.state);
        let done = tokio::task::spawn_blocking(move || work(&state)).await;
        let failed = |e: AnyError| StorageError::from(StorageIOError::write_state_machine(e));
        match done {
            Ok(result) => result.map_err(|e| failed(AnyError::new(&e))),
            Err(e) => Err(failed(AnyError::new(&e))),
        }
    }
}

impl RaftSnapshotBuilder<TypeConfig> for StateMachine {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError<u64>> {
        let (meta, file) = self
            .blocking(|state| match state.take_ready() {
                Some(ready) => Ok(ready),
                None => loop {
                    // To Raft a snapshot that fails is the end; this one has only to begin again.
                    match state.make_snapshot() {
                        Err(StateError::Interrupted) => {}
                        made => break made,
                    }
                },
            })
            .await?;
        Ok(Snapshot { meta, snapshot: Box::new(file) })
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotBuilder = Self;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId<u64>>, StoredMembership<u64, EmptyNode>), StorageError<u64>> {
        Ok(self.state.applied())
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Replies>, StorageError<u64>>
    where
        I: IntoIterator<Item = Entry<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry<TypeConfig>> = entries.into_iter().collect();
        self.blocking(move |state| state.apply(&entries)).await
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotFile>, StorageError<u64>> {
        Ok(Box::new(self.state.receiving()))
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<u64, EmptyNode>,
        snapshot: Box<SnapshotFile>,
    ) -> Result<(), StorageError<u64>> {
        let meta = meta.clone();
        self.blocking(move |state| state.install(&meta, &snapshot)).await
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<Snapshot<TypeConfig>>, StorageError<u64>> {
        let current = self.state.current();
        Ok(current.map(|(meta, file)| Snapshot { meta, snapshot: Box::new(file) }))
    }
}
