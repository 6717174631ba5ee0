//! One supervised actor per client connection (docs/supervision.md).
//!
//! The actor owns the protocol core and decides; an I/O task of its own moves bytes. Requests
//! that wait for something run as tasks of the actor, never in it. Whatever ends the actor ends
//! its tasks, takes the user off the directory and closes the socket.

mod actor;
mod attachment;
mod crowd;
mod departed;
mod event;
mod handle;
mod inner;
mod io;
mod lifecycle;
mod op;
mod outbox;
mod state;
#[cfg(test)]
mod tests;

pub use crowd::{Crowd, USER_CONNECTIONS_MAX};
pub use event::ServerEvent;
pub use handle::{ConnectionHandle, ConnectionMsg, Internal};
pub use op::attach::FEATURES;

pub(crate) use actor::start;
pub(crate) use lifecycle::Lifecycle;

/// Runs the test-only echo on a connection.
pub(crate) async fn echo(established: crate::listener::Established) {
    // The place and the trace end with the echo.
    let _lifecycle = established.lifecycle;
    io::echo(established.socket).await;
}
