//! The admin protocol between `crs-cli` and a node, and how its replies look to a person.
//!
//! - [`protocol`]: JSON lines over a stream (a Unix socket), a version in every frame.
//! - [`command`]: one file per command with its request, its reply and its columns. The
//!   [`command::COMMANDS`] table is made from the same list.
//! - [`trace`]: the events of `trace …` and their comma-separated form.
//! - [`view`] and [`render`]: table, JSON and TSV, all three from one [`view::View`].
//! - [`error`]: what went wrong, what to do next and with which exit code.
//!
//! Nothing here does I/O.

pub mod command;
pub mod error;
pub mod protocol;
pub mod render;
pub mod secret_text;
pub mod trace;
pub mod view;

pub use command::{COMMANDS, CommandInfo, Impact, Reply, Request};
pub use error::{AdminError, Code, Exit};
pub use secret_text::SecretText;
pub use trace::TraceItem;
