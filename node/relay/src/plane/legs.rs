//! What a thread keeps per leg: the few bytes that every media packet touches, and the rest.

use crs_proto::leg::LegBinding;

use crate::bucket::Bucket;
use crate::event::LegAddress;
use crate::kind::TwoLegKind;

/// Touched by every packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hot {
    /// `None`: the slot is free.
    pub(super) kind: Option<TwoLegKind>,
    /// Channel number the client uses for the other leg; 0 for RTP.
    pub(super) channel: u16,
    pub(super) generation: u32,
    /// Slot of the other leg.
    pub(super) peer: u32,
    /// The proved address.
    pub(super) address: Option<LegAddress>,
    pub(super) bucket: Bucket,
}

impl Hot {
    pub(super) const FREE: Self = Self {
        kind: None,
        channel: 0,
        generation: 0,
        peer: u32::MAX,
        address: None,
        bucket: Bucket::EMPTY,
    };
}

/// Touched by STUN and timers only.
#[derive(Debug, Default)]
pub(super) struct Cold {
    /// STUN state of the leg on this thread.
    pub(super) binding: Option<Box<LegBinding>>,
    /// The address proved *here*: this thread keeps its consent.
    pub(super) claim: Option<LegAddress>,
    /// Number of the message that told the home thread of the claim; `u64::MAX` until it is sent,
    /// 0 on the home thread itself.
    pub(super) claim_number: u64,
    /// Number of this claim among all claims of this thread.
    pub(super) claim_stamp: u64,
    /// The same of the leg's address, as its owner numbered it.
    pub(super) stamp: u64,
    /// The thread that proved the leg's address.
    pub(super) owner: u8,
    /// News that a full ring has not taken yet; see `sync`.
    pub(super) dirty: u64,
}
