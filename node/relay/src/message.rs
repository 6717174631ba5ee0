//! What travels on the bounded rings: commands to a thread, messages between threads, reports to
//! the control side.

use crs_proto::leg::LegCredentials;

use crate::event::LegAddress;
use crate::kind::TwoLegKind;

/// A leg's place in the tables of every thread, with the generation that tells it from earlier
/// legs in the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LegKey {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// From the control side to one thread.
#[derive(Debug)]
pub(crate) enum Command {
    /// A new leg; every thread gets it.
    Add(Box<AddLeg>),
    /// The leg is gone; every thread gets it.
    Remove(LegKey),
    /// End the thread.
    Stop,
    /// Panic: only tests of the watcher send it.
    #[cfg(test)]
    Crash,
}

/// A leg as a thread must know it.
#[derive(Debug, Clone)]
pub(crate) struct AddLeg {
    pub(crate) key: LegKey,
    pub(crate) kind: TwoLegKind,
    /// Slot of the other leg of the call.
    pub(crate) peer: u32,
    /// Channel number this leg's client uses for the other leg; 0 for RTP.
    pub(crate) channel: u16,
    pub(crate) credentials: LegCredentials,
    /// A proved address and its thread, when threads are restarted with live legs.
    pub(crate) address: Option<(u8, LegAddress)>,
}

/// From one thread to another. `stamp` numbers the claims of the thread that proved the address: of
/// two legs on one address the later claim has it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PeerMessage {
    /// To the leg's home thread: the leg has proved an address on the sending thread, or, with
    /// `None`, the address it had proved there does not answer any more.
    Claim { key: LegKey, from: u8, address: Option<LegAddress>, stamp: u64 },
    /// From the leg's home thread to all: this is the leg's address now, proved on `owner`. The home
    /// thread has taken `seen` messages of the receiver so far: a claim sent later is newer.
    Bound { key: LegKey, owner: u8, address: Option<LegAddress>, stamp: u64, seen: u64 },
}

/// From one thread to the control side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report {
    pub(crate) key: LegKey,
    pub(crate) what: Reported,
}

/// What is reported.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reported {
    /// The leg's address, proved on thread `owner`.
    Bound { owner: u8, address: LegAddress },
    /// It has none any more.
    Unbound,
    /// It proved an address that another leg has.
    Taken(LegAddress),
}
