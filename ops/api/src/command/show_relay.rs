//! `show relay`: counters by relay type and in total (C-207 … C-220, D-17).

use serde::{Deserialize, Serialize};

use crate::view::{Render, Section, View};

/// Nothing to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {}

crate::row! {
    /// Counters of one relay type.
    pub struct TypeRow {
        /// `RTP relay`, `RTP proxy relay`, `opaque relay`, `opaque proxy relay` or
        /// `opaque multicast relay`.
        kind as "type": String => "TYPE",
        /// Received media packets.
        rx: u64 => "rx",
        /// Received bytes.
        rx_bytes as "rxBytes": u64 => "rxBytes",
        /// Transmitted media packets.
        tx: u64 => "tx",
        /// Transmitted bytes.
        tx_bytes as "txBytes": u64 => "txBytes",
    }
}

crate::row! {
    /// Totals of sending.
    pub struct Sent {
        /// Packets over all types.
        packets: u64 => "packets",
        /// Bytes over all types.
        bytes: u64 => "bytes",
        /// Not sent because no address is bound.
        error_no_dest as "errorNoDest": u64 => "errorNoDest",
        /// Sends that failed.
        error: u64 => "error",
    }
}

crate::row! {
    /// Totals of receiving.
    pub struct Received {
        /// Packets over all types.
        packets: u64 => "packets",
        /// Bytes over all types.
        bytes: u64 => "bytes",
        /// Packets too short to be anything.
        error_too_short as "errorTooShort": u64 => "errorTooShort",
        /// Packets longer than a relay carries.
        error_too_long as "errorTooLong": u64 => "errorTooLong",
    }
}

/// All counters of the node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// By type.
    pub types: Vec<TypeRow>,
    /// Sent in total.
    pub sent: Sent,
    /// Received in total.
    pub received: Received,
}

impl Render for Reply {
    fn view(&self) -> View {
        View::Many(vec![
            Section::rows("types", "TYPES", &self.types),
            Section::record("sent", "Sent", &self.sent),
            Section::record("received", "Received", &self.received),
        ])
    }
}
