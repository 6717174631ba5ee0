//! `check slot <uri>`: slot, group, leader and replicas of a number (C-309, Q-37).

use crs_types::Uri;
use serde::{Deserialize, Serialize};

/// Which number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The number.
    pub uri: Uri,
}

crate::record! {
    /// Where the number's durable data lives.
    pub struct Reply {
        /// The number.
        uri: String => "URI",
        /// CRC16/XMODEM of the canonical URI modulo 16 384.
        slot: u16 => "SLOT",
        /// The mailbox group that owns the slot.
        group: u16 => "GROUP",
        /// The node that leads the group, or `none`.
        leader: String => "LEADER",
        /// The nodes that hold copies.
        replicas: Vec<String> => "REPLICAS",
    }
}
