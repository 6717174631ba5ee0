//! Sessions of this node: one supervised actor per call around the core of
//! [`crs_proto::session`], a table to find them in, and the service that connections call.
//!
//! A session lives on the node of its caller. Its actor ends with the core's `Expired`, 30 s
//! after the call; it is never restarted: the clients hear `shutdown` or time out, and call again.

mod actor;
mod media;
mod metrics;
mod service;
mod table;
#[cfg(test)]
mod tests;

pub use actor::{SESSION_QUEUE, SessionMsg};
pub use media::{Allocated, Lease, MediaRelay, NoRelay};
pub use metrics::SessionMetrics;
pub use service::{
    PAIR_RINGING_MAX, SessionService, USER_BEGUN_MAX, USER_RINGING_MAX, USER_SESSIONS_MAX,
};
pub use table::SessionTable;
