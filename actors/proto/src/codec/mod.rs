//! Frames: text to and from typed requests, replies and events.
//!
//! The server calls [`parse_request`] and the `encode_*` functions; a client calls
//! [`encode_request`] and [`parse_server_frame`]. Every parse function takes untrusted text, never
//! panics and allocates no more than a small multiple of the text (fuzz targets call them as they
//! are).

mod check;
mod encode;
mod header;
mod locate;
mod op;
mod request;
mod server;
#[cfg(test)]
mod tests;

pub use check::{CLIENT_INFO_MAX, RESUME_MAX};
pub use encode::{encode_error, encode_event, encode_ok, encode_request};
pub use header::DEPTH_MAX;
pub use op::{Event, Op, OpName};
pub use request::{Refusal, Request, RequestId, parse_request};
pub use server::{Fields, FrameError, ServerFrame, parse_server_frame};
