//! What the control side sees of resources and legs, and why it may not get one.

use std::io;

use crs_proto::leg::LegCredentials;
use crs_types::{AllocationId, LegId, Mono};

use crate::config::ConfigError;
use crate::counters::LegCounters;
use crate::event::LegAddress;
use crate::kind::RelayType;

/// One leg of a new allocation: what its client needs to bind it.
#[derive(Debug, Clone)]
pub struct NewLeg {
    /// The leg.
    pub id: LegId,
    /// STUN user name and password.
    pub credentials: LegCredentials,
    /// Channel number this leg's client uses for the other leg, for opaque relays
    /// (0x4000…0x4FFF).
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

/// One live leg.
#[derive(Debug, Clone, Copy)]
pub struct LegInfo {
    /// The leg.
    pub id: LegId,
    /// Its proved address.
    pub address: Option<LegAddress>,
    /// What came from its client.
    pub counters: LegCounters,
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
    /// Its legs.
    pub legs: [LegInfo; 2],
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
    /// The threads do not run.
    #[error("the relay is not started")]
    NotStarted,
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
        source: io::Error,
    },
}
