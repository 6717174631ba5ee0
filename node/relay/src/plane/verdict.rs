//! The way of every media packet.

use std::net::SocketAddr;

use crs_proto::leg::{PacketKind, demux};

use crate::event::LegAddress;
use crate::kind::TwoLegKind;
use crate::plane::Plane;
use crate::table::Key;

/// Shorter datagrams are counted as too short (C-218).
pub(super) const PACKET_SHORTEST: usize = 8;
/// Longer datagrams are counted as too long (C-219).
pub(super) const PACKET_LONGEST: usize = 1500;

/// What to do with a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing; it has been counted.
    Drop,
    /// Give it to [`Plane::stun`].
    Stun,
    /// Send it on.
    Forward(Forward),
}

/// Where a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Forward {
    /// The other leg's proved address.
    pub(crate) to: SocketAddr,
    /// The socket to send by.
    pub(crate) local: u8,
    /// Slot of the leg it came from, for [`Plane::refused`].
    pub(crate) tag: u32,
    /// Bytes to send, from the first.
    pub(crate) length: usize,
    /// Channel number to write over the first two bytes; 0 leaves them.
    pub(crate) channel: u16,
}

impl Plane {
    /// Decides about one datagram and counts it.
    pub(crate) fn media(&mut self, now: u64, from: SocketAddr, bytes: &[u8]) -> Verdict {
        self.cells.received.add(1);
        self.cells.received_bytes.add(bytes.len() as u64);
        if bytes.len() < PACKET_SHORTEST {
            self.cells.too_short.add(1);
            return Verdict::Drop;
        }
        if bytes.len() > PACKET_LONGEST {
            self.cells.too_long.add(1);
            return Verdict::Drop;
        }
        match demux(bytes) {
            PacketKind::Stun => Verdict::Stun,
            PacketKind::Rtp => self.forward(now, from, bytes, TwoLegKind::Rtp),
            PacketKind::ChannelData => self.forward(now, from, bytes, TwoLegKind::Opaque),
            // Node headers come with relays of two nodes; DTLS travels inside ChannelData.
            PacketKind::Node | PacketKind::Dtls | PacketKind::Unknown => {
                self.cells.foreign.add(1);
                Verdict::Drop
            }
        }
    }

    fn forward(&mut self, now: u64, from: SocketAddr, bytes: &[u8], kind: TwoLegKind) -> Verdict {
        let Some(slot) = self.addresses.get(&Key::address(from)) else {
            self.cells.unknown.add(1);
            return Verdict::Drop;
        };
        let leg = &mut self.hot[slot as usize];
        // An address that is claimed but not yet confirmed by the leg's home does not count.
        if leg.address.map(LegAddress::remote) != Some(from) {
            self.cells.unknown.add(1);
            return Verdict::Drop;
        }
        let length = match kind {
            TwoLegKind::Rtp => Some(bytes.len()),
            TwoLegKind::Opaque => framed(bytes, leg.channel),
        };
        let Some(length) = length.filter(|_| leg.kind == Some(kind)) else {
            self.cells.foreign.add(1);
            return Verdict::Drop;
        };
        let of_leg = &self.cells.legs[slot as usize];
        let of_type = self.cells.of(kind.into());
        of_type.rx.add(1);
        of_type.rx_bytes.add(length as u64);
        of_leg.rx.add(1);
        of_leg.rx_bytes.add(length as u64);
        of_leg.last_media.set(now);
        if !leg.bucket.take(&self.rate, now, length) {
            self.cells.rate.add(1);
            return Verdict::Drop;
        }
        let Some(peer) = self.hot.get(self.hot[slot as usize].peer as usize) else {
            return Verdict::Drop;
        };
        let Some(LegAddress::Udp { local, remote }) = peer.address else {
            self.cells.no_dest.add(1);
            return Verdict::Drop;
        };
        of_type.tx.add(1);
        of_type.tx_bytes.add(length as u64);
        of_leg.forwarded.add(1);
        of_leg.forwarded_bytes.add(length as u64);
        self.count_sent(length);
        Verdict::Forward(Forward { to: remote, local, tag: slot, length, channel: peer.channel })
    }
}

/// Length of a ChannelData message for `channel` (RFC 8656 §12.4): header and data, without the
/// padding that may follow.
fn framed(bytes: &[u8], channel: u16) -> Option<usize> {
    let [a, b, c, d, ..] = *bytes else { return None };
    let total = 4 + usize::from(u16::from_be_bytes([c, d]));
    (u16::from_be_bytes([a, b]) == channel && total <= bytes.len()).then_some(total)
}
