//! Raft: type configuration, log store over the write-ahead log, state machine, snapshots.

mod compact;
mod control_state;
mod group_state;
mod log_store;
mod machine;
mod mailbox_state;
pub mod snapshot;
mod snapshot_table;
mod state_error;
pub mod types;

#[cfg(test)]
mod tests;

pub use log_store::LogStore;
pub use machine::StateMachine;
#[cfg(fuzzing)]
pub use snapshot_table::fuzz_snapshot;
pub use types::{Batch, Command, Replies, Reply, TypeConfig};

pub(crate) use control_state::ControlMachine;
pub(crate) use group_state::{EffectHook, GroupState, Machine};
pub(crate) use mailbox_state::MailboxMachine;
pub(crate) use snapshot_table::SnapshotTable;
pub(crate) use state_error::StateError;
