//! The operator's side of a node: a Unix socket on which `crs-cli` asks, and the commands.
//!
//! [`AdminListener`] binds the socket and accepts; each connection is an actor of a population of
//! at most [`CONNECTIONS_MAX`]. Only root and the node's own user are heard. Each command is one
//! file in [`commands`]; every changing one leaves one line in the audit log.

pub mod commands;
pub mod context;
pub mod probe;
pub mod seams;

mod audit;
mod connection;
mod doctor;
mod errors;
mod files;
mod lines;
mod listener;
mod loaded;
mod watched;

#[cfg(fuzzing)]
pub use files::fuzz_blacklist;

pub use connection::{CONNECTIONS_MAX, IDLE};
pub use context::{AdminContext, AdminParts, NodeFacts, OperatorCommands};
pub use listener::{AdminListener, AdminListenerArguments, BindError, bind};
pub use probe::{HealthProbe, NoProbe};
pub use seams::{AdminStore, RelayResource, RelayView, SessionsView};
pub use watched::{Found, ShownCertificate, Watched};

#[cfg(test)]
mod tests;
