//! The media data plane: pinned threads, leg tables, forwarding. Knows neither actors nor an async
//! runtime.
//!
//! [`Relay::bind`] binds the sockets, [`Relay::start`] starts the threads; from then on the control
//! side allocates and frees two-leg resources, and calls [`Relay::poll`] to learn what happened.
//! Media never leaves the threads: a packet is received, looked up and sent on by the thread whose
//! socket the kernel hashed its client to.

pub mod allocation;
pub mod bench;
mod bucket;
mod cells;
pub mod config;
pub mod counters;
pub mod event;
pub mod kind;
mod message;
mod plane;
mod reader;
mod records;
pub mod relay;
mod sockets;
mod table;
mod thread;
mod wheel;

pub use allocation::{AllocateError, AllocationInfo, LegInfo, NewAllocation, NewLeg, StartError};
pub use config::{LegRate, RelayConfig, RelayLimits};
pub use counters::{LegCounters, RelayCounters, TypeCounters};
pub use event::{LegAddress, RelayEvent};
pub use kind::{RelayType, TwoLegKind};
#[cfg(fuzzing)]
pub use plane::fuzz_plane;
pub use reader::RelayReader;
pub use relay::{LEG_LIFETIME, Relay};
pub use thread::Notify;
