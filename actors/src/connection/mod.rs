//! One supervised actor per client connection.

mod event;
mod handle;

pub use event::ServerEvent;
pub use handle::{ConnectionHandle, ConnectionMsg};
