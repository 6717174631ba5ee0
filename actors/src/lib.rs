//! The actor shells of a node: listeners, client connections, sessions, relay glue, local
//! presence, and the supervision tree that joins them (docs/supervision.md).
//!
//! Protocol decisions live in the sans-I/O cores of `crs-proto`, `crs-keys` and `crs-storage`;
//! the actors here decode, feed a core and run its effects. Nothing is global: everything hangs
//! off one [`NodeContext`], so that many nodes fit into one process.

pub mod accounts;
pub mod admin;
pub mod connection;
pub mod context;
pub mod directory;
pub mod handle;
pub mod listener;
pub mod metrics;
pub mod relay;
pub mod services;
pub mod session;
pub mod settings;
pub mod store;
pub mod supervisor;
pub mod trace;
pub mod tree;

#[cfg(test)]
mod testing;

pub use accounts::AccountRegistry;
pub use connection::{ConnectionHandle, ServerEvent};
pub use context::NodeContext;
pub use directory::{Directory, Registration};
pub use handle::{Bounded, CallError, CastError, Gate, Handle, HandleSlot, Reply};
pub use settings::Settings;
pub use supervisor::{ChildSpec, Intensity, Restart, Supervisor, SupervisorHandle};
