//! [`Relay`]: the control side's handle on the pinned threads.

use std::time::Duration;

use crs_types::{AllocationId, LegId, Mono, Secret};

use crate::config::ConfigError;
use crate::counters::LegCounters;
use crate::event::LegAddress;
use crate::kind::RelayType;

/// An unbound leg ends unless refreshed or bound within this time.
pub const LEG_LIFETIME: Duration = Duration::from_secs(60);
/// No media for this long is told as [`crate::RelayEvent::Silent`] (design.md §5).
pub const SILENCE: Duration = Duration::from_secs(60);

/// One leg of a new allocation: what its client needs to bind it.
#[derive(Debug, Clone)]
pub struct NewLeg {
    /// The leg.
    pub id: LegId,
    /// STUN user name: 24 characters of base64url, 144 random bits.
    pub ufrag: String,
    /// STUN short-term password: 32 characters of base64url, 192 random bits.
    pub password: Secret,
    /// Channel number of the other leg, for opaque relays (0x4000…0x4FFF).
    pub channel: Option<u16>,
}

/// A new two-leg relay resource.
#[derive(Debug, Clone)]
pub struct NewAllocation {
    /// The resource.
    pub id: AllocationId,
    /// Its legs.
    pub legs: [NewLeg; 2],
}

/// One live resource, for `show relays` (C-221…C-225).
#[derive(Debug, Clone)]
pub struct AllocationInfo {
    /// The resource.
    pub id: AllocationId,
    /// Its type (C-222).
    pub kind: RelayType,
    /// Last media of any leg, or the time of allocation (C-224).
    pub last_active: Mono,
    /// Per leg: id, proved address, counters.
    pub legs: Vec<(LegId, Option<LegAddress>, LegCounters)>,
}

/// Why there is no new resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllocateError {
    /// The operator's limit of this type is reached: `relay-limit`.
    #[error("limit of {limit} simultaneous {kind}s reached")]
    Limit {
        /// The type.
        kind: RelayType,
        /// The limit.
        limit: u64,
    },
    /// The leg tables are full: `relay-limit`.
    #[error("all {capacity} relay legs are in use")]
    Full {
        /// Capacity in legs.
        capacity: usize,
    },
    /// A thread's control ring is full; try again.
    #[error("relay thread {thread} has not taken its last commands yet")]
    Busy {
        /// The thread.
        thread: usize,
    },
}

/// Why a relay could not be bound or started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A configuration value that cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, in the present tense.
        what: String,
        /// The refusal.
        #[source]
        source: std::io::Error,
    },
}
