//! Slots: how a URI finds the mailbox group that owns it (Q-37, C-309).

use serde::{Deserialize, Serialize};

use crate::{GroupId, Uri};

/// Number of slots of a pool.
pub const SLOTS: u16 = 16_384;

/// CRC16/XMODEM of the canonical URI modulo 16 384.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(u16);

impl Slot {
    /// The slot of a URI.
    pub fn of(uri: &Uri) -> Self {
        Self(crc16_xmodem(uri.as_str().as_bytes()) % SLOTS)
    }

    /// The number, 0 … 16 383.
    pub fn number(self) -> u16 {
        self.0
    }

    /// The mailbox group when `groups` groups share the slots in equal contiguous ranges.
    pub fn group(self, groups: u16) -> GroupId {
        let groups = groups.max(1);
        let per_group = SLOTS.div_ceil(groups);
        GroupId(1 + self.0 / per_group)
    }
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// CRC16 with polynomial 0x1021, initial value 0 (the hash of the Redis Cluster specification).
fn crc16_xmodem(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_check_value_holds() {
        assert_eq!(crc16_xmodem(b"123456789"), 0x31c3);
    }

    #[test]
    fn groups_cover_all_slots_in_equal_ranges() {
        assert_eq!(Slot(0).group(4), GroupId(1));
        assert_eq!(Slot(4095).group(4), GroupId(1));
        assert_eq!(Slot(4096).group(4), GroupId(2));
        assert_eq!(Slot(16_383).group(4), GroupId(4));
        assert_eq!(Slot(16_383).group(3), GroupId(3));
    }
}
