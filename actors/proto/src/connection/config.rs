//! Limits of a connection; one value shared by all connections of a node.

use crs_types::limits::REQUESTS_IN_FLIGHT_MAX;

use crate::keepalive::KeepAliveConfig;
use crate::rate::Rate;

/// Settings of all connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionConfig {
    /// How dead connections are found.
    pub keep_alive: KeepAliveConfig,
    /// Rates of a user and, for refusals, of a connection.
    pub rates: Rates,
    /// Requests under way at once.
    pub in_flight: u8,
    /// Bounds of what waits to be sent.
    pub outbox: OutboxLimits,
}

/// Token buckets: of a user over all of its connections, `refusals` of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// `attach`.
    pub attach: Rate,
    /// `call.invite`.
    pub invite: Rate,
    /// `msg.post`.
    pub message: Rate,
    /// `lookup`.
    pub lookup: Rate,
    /// Every other op.
    pub other: Rate,
    /// Refused requests (rate, in-flight limit, malformed) of one connection; beyond it the
    /// connection is cut, which is all that this one is for.
    pub refusals: Rate,
}

/// What may wait to be sent to one client before it counts as a slow reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Frames.
    pub frames: u16,
    /// Bytes; one frame is always accepted.
    pub bytes: u32,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            keep_alive: KeepAliveConfig::default(),
            rates: Rates::default(),
            in_flight: u8::try_from(REQUESTS_IN_FLIGHT_MAX).unwrap_or(u8::MAX),
            outbox: OutboxLimits { frames: 256, bytes: 1024 * 1024 },
        }
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            attach: Rate::per_minute(10),
            invite: Rate::per_minute(30),
            message: Rate::per_minute(120),
            lookup: Rate::per_minute(60),
            other: Rate { per_minute: 6000, burst: 1000 },
            refusals: Rate { per_minute: 60, burst: 60 },
        }
    }
}
