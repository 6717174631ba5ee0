//! What the operator and the node decide about the data plane, checked before a socket is bound.

use std::net::SocketAddr;

use crate::kind::RelayType;

/// Most local addresses one relay binds (IPv4 and IPv6 of two interfaces).
pub const ADDRESSES_MAX: usize = 4;
/// Most pinned threads.
pub const THREADS_MAX: usize = 32;
/// Default capacity of the leg tables.
pub const LEGS_DEFAULT: usize = 16_384;
/// Default cap of one leg: packets per second.
pub const LEG_PACKETS_PER_SECOND: u32 = 2_000;
/// Default cap of one leg: bytes of UDP payload per second.
pub const LEG_BYTES_PER_SECOND: u32 = 2_000_000;
/// Default number of messages in one receive or send call.
pub const BATCH_DEFAULT: usize = 64;

/// Configuration of the data plane.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// Local addresses to bind, best first, 1…[`ADDRESSES_MAX`]. Port 0 of the first address takes
    /// a free port; later addresses with port 0 take the same one.
    pub addresses: Vec<SocketAddr>,
    /// Number of pinned threads, 1…[`THREADS_MAX`].
    pub threads: usize,
    /// CPU of each thread; a thread without an entry is not pinned.
    pub cpus: Vec<usize>,
    /// Legs that may exist at once (memory is reserved for them; C-099 limits come on top).
    pub max_legs: usize,
    /// Limits per relay type (`crs-relay.conf`).
    pub limits: RelayLimits,
    /// Cap of each leg.
    pub rate: LegRate,
    /// Messages per receive or send call.
    pub batch: usize,
    /// Use the kernel's receive coalescing (UDP_GRO) and segmentation (UDP_SEGMENT).
    pub offload: bool,
    /// Number of the first resource, so that ids stay unique when a node makes a new relay;
    /// 1…2^51, since leg ids are on the wire.
    pub first_allocation: u64,
}

impl RelayConfig {
    /// Defaults that run: one thread, unpinned, no limits, no offload, on the given addresses.
    pub fn on(addresses: Vec<SocketAddr>) -> Self {
        Self {
            addresses,
            threads: 1,
            cpus: Vec::new(),
            max_legs: LEGS_DEFAULT,
            limits: RelayLimits::default(),
            rate: LegRate::default(),
            batch: BATCH_DEFAULT,
            offload: false,
            first_allocation: 1,
        }
    }

    /// Refuses values that cannot work, naming the field and what was expected.
    pub fn check(&self) -> Result<(), ConfigError> {
        range("addresses", self.addresses.len(), 1, ADDRESSES_MAX)?;
        range("threads", self.threads, 1, THREADS_MAX)?;
        range("max_legs", self.max_legs, 2, 1 << 20)?;
        range("batch", self.batch, 1, 1024)?;
        range("rate.packets_per_second", self.rate.packets_per_second as usize, 1, 1 << 30)?;
        range("rate.bytes_per_second", self.rate.bytes_per_second as usize, 1500, 1 << 31)
    }
}

/// `MAX_…_RELAYS` of `crs-relay.conf` (C-094…C-098); `None` is no limit (C-099). They hold per node
/// and per type; at the limit an allocation is refused as `relay-limit`, with a WARN line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RelayLimits {
    /// `MAX_RTP_RELAYS`.
    pub rtp: Option<u64>,
    /// `MAX_RTP_PROXY_RELAYS`.
    pub rtp_proxy: Option<u64>,
    /// `MAX_OPAQUE_RELAYS`.
    pub opaque: Option<u64>,
    /// `MAX_OPAQUE_PROXY_RELAYS`.
    pub opaque_proxy: Option<u64>,
    /// `MAX_OPAQUE_MULTICAST_RELAYS`.
    pub opaque_multicast: Option<u64>,
}

impl RelayLimits {
    /// The limit of one type.
    pub fn of(&self, kind: RelayType) -> Option<u64> {
        match kind {
            RelayType::Rtp => self.rtp,
            RelayType::RtpProxy => self.rtp_proxy,
            RelayType::Opaque => self.opaque,
            RelayType::OpaqueProxy => self.opaque_proxy,
            RelayType::OpaqueMulticast => self.opaque_multicast,
        }
    }
}

/// Token bucket of a leg, for what it *sends into* the relay; bursts of a quarter of a second pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegRate {
    /// Packets per second.
    pub packets_per_second: u32,
    /// Bytes of UDP payload per second.
    pub bytes_per_second: u32,
}

impl Default for LegRate {
    fn default() -> Self {
        Self { packets_per_second: LEG_PACKETS_PER_SECOND, bytes_per_second: LEG_BYTES_PER_SECOND }
    }
}

/// A value of [`RelayConfig`] that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("relay {field}: expected {min} to {max}, got {got}")]
pub struct ConfigError {
    /// The field.
    pub field: &'static str,
    /// Smallest accepted value.
    pub min: usize,
    /// Largest accepted value.
    pub max: usize,
    /// The value that came.
    pub got: usize,
}

fn range(field: &'static str, got: usize, min: usize, max: usize) -> Result<(), ConfigError> {
    if (min..=max).contains(&got) { Ok(()) } else { Err(ConfigError { field, min, max, got }) }
}
