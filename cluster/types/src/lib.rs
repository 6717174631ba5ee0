//! Shared vocabulary of the rendezvous server: ids, addresses, time, limits and the seams
//! (clock, randomness, disk) through which every other crate meets the outside world.
//!
//! Nothing here does I/O except [`disk::OsDisk`], and nothing knows an async runtime.

pub mod account;
pub mod addr;
pub mod clock;
pub mod disk;
pub mod duration;
pub mod envelope;
pub mod ids;
pub mod limits;
pub mod period;
pub mod rng;
pub mod secret;
pub mod shell;
pub mod slot;
pub mod uri;

pub use account::{AccountId, AccountIdError};
pub use addr::ClientAddr;
pub use clock::{Clock, Mono, SystemClock, Timestamp};
pub use ids::{
    AllocationId, BlobHash, ConnectionId, DeviceId, Generation, GroupId, LegId, MessageId, NodeId,
    NodeName, SessionId,
};
pub use period::{Period, PeriodError};
pub use rng::{OsRng, Rng};
pub use secret::Secret;
pub use slot::Slot;
pub use uri::{Uri, UriError};
