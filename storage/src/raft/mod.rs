//! Raft: type configuration, log store over the write-ahead log, state machine, snapshots.

mod control_state;
mod group_state;
mod log_store;
mod machine;
mod mailbox_state;
pub mod snapshot;
pub mod types;

#[cfg(test)]
mod tests;

pub use log_store::LogStore;
pub use machine::StateMachine;
pub use types::{Batch, Command, Replies, Reply, TypeConfig};

pub(crate) use control_state::ControlMachine;
pub(crate) use group_state::{EffectHook, GroupState, Machine, StateError};
pub(crate) use mailbox_state::MailboxMachine;
