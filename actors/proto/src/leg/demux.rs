//! What a datagram on the media port is, by its first byte (RFC 7983, RFC 9443).

/// Kind of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PacketKind {
    /// 0–3: STUN.
    Stun,
    /// 8: our own header between nodes.
    Node,
    /// 20–63: DTLS.
    Dtls,
    /// 64–79: ChannelData (RFC 8656 §12.4).
    ChannelData,
    /// 128–191: RTP and RTCP.
    Rtp,
    /// Anything else, or no byte at all: dropped.
    Unknown,
}

/// Tells datagrams apart.
pub const fn demux(packet: &[u8]) -> PacketKind {
    match packet.first() {
        Some(0..=3) => PacketKind::Stun,
        Some(8) => PacketKind::Node,
        Some(20..=63) => PacketKind::Dtls,
        Some(64..=79) => PacketKind::ChannelData,
        Some(128..=191) => PacketKind::Rtp,
        Some(4..=7 | 9..=19 | 80..=127 | 192..=255) | None => PacketKind::Unknown,
    }
}
