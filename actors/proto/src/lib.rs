//! The client protocol `crs.v1`, sans I/O: wire types and codec, and the state machines of
//! connections, sessions, message delivery, keep-alive and relay legs.
//!
//! Every machine takes its input, the time and randomness as arguments and returns effects; the
//! actors in `crs-actors` only carry them out. docs/protocol.md is the normative text.

pub mod wire;
