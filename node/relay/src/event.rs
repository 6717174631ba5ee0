//! What the data plane tells the control side.

use std::net::SocketAddr;

use crs_types::{AllocationId, LegId};

/// Where a leg's client is, by transport. An enum from the start: legs over the client's TLS port
/// and relay addresses of other nodes will be further variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LegAddress {
    /// A UDP address, seen on one of the relay's local addresses.
    Udp {
        /// Index of the local address in [`crate::RelayConfig::addresses`].
        local: u8,
        /// The client's address.
        remote: SocketAddr,
    },
}

impl LegAddress {
    /// The client's socket address.
    pub fn remote(self) -> SocketAddr {
        match self {
            Self::Udp { local: _, remote } => remote,
        }
    }
}

/// Something the control side must know. Delivered by [`crate::Relay::poll`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayEvent {
    /// A leg proved an address: its first, or a new one after a move. Media flows.
    Bound {
        /// The relay resource.
        allocation: AllocationId,
        /// The leg.
        leg: LegId,
        /// Its proved address.
        address: LegAddress,
    },
    /// A leg's client stopped answering the relay's checks (RFC 7675): nothing is sent to it until
    /// it binds again.
    ConsentLost {
        /// The relay resource.
        allocation: AllocationId,
        /// The leg.
        leg: LegId,
    },
    /// A leg proved an address that another leg has: refused.
    AddressTaken {
        /// The relay resource.
        allocation: AllocationId,
        /// The leg that was refused.
        leg: LegId,
        /// The address.
        address: LegAddress,
    },
    /// An unbound leg was not refreshed within [`crate::LEG_LIFETIME`]; it has been freed.
    Expired {
        /// The relay resource.
        allocation: AllocationId,
        /// The leg.
        leg: LegId,
    },
    /// A pinned thread ended by itself (our bug): call [`crate::Relay::restart`].
    ThreadDown {
        /// Which thread.
        thread: usize,
    },
}
