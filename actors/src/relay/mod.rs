//! The media relay as actors: one *control* actor that owns the data plane and watches its
//! threads, and below `allocation_sup` one small actor per allocation.
//!
//! Media is never an actor message. The pinned threads of [`crs_relay`] forward; what arrives here
//! are requests of sessions and operators, and reports such as "bound" or "thread down".
//!
//! One watcher serves all threads, because a dead thread takes all of them through a restart: the
//! rings between them must be made anew. Sockets and bound legs stay.

mod allocation;
mod control;
mod figures;
mod metrics;
mod service;
#[cfg(test)]
mod tests;

pub use allocation::AllocationMsg;
pub use control::{RELAY_FREES, RELAY_QUEUE, RelayMsg};
pub use metrics::register_relay_metrics;
pub use service::{RelayAlarm, RelayService, RelaySettings};
