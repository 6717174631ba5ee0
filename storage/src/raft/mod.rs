//! Raft: type configuration, log store over the write-ahead log, state machine, groups.

pub mod snapshot;
pub mod types;

pub use types::{Batch, Command, Replies, Reply, TypeConfig};
