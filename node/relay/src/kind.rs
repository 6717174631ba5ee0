//! The five relay types and their names in `show relay`.

use std::fmt;

/// Type of a relay resource. Two-leg types are served; the others are counted and limited already,
/// so that their columns exist (C-207…C-211), and stay at zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RelayType {
    /// Two legs here, SRTP and SRTCP unchanged.
    Rtp,
    /// One leg here, the other on another node.
    RtpProxy,
    /// Two legs here, any datagram in ChannelData frames.
    Opaque,
    /// Its two-node form.
    OpaqueProxy,
    /// Conference: n legs.
    OpaqueMulticast,
}

impl RelayType {
    /// All types, in the order of `show relay`.
    pub const ALL: [Self; 5] =
        [Self::Rtp, Self::RtpProxy, Self::Opaque, Self::OpaqueProxy, Self::OpaqueMulticast];

    /// Position in [`RelayType::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Self::Rtp => 0,
            Self::RtpProxy => 1,
            Self::Opaque => 2,
            Self::OpaqueProxy => 3,
            Self::OpaqueMulticast => 4,
        }
    }

    /// The operator's words (C-094…C-098).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rtp => "RTP relay",
            Self::RtpProxy => "RTP proxy relay",
            Self::Opaque => "opaque relay",
            Self::OpaqueProxy => "opaque proxy relay",
            Self::OpaqueMulticast => "opaque multicast relay",
        }
    }
}

impl fmt::Display for RelayType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a two-leg relay of this node forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TwoLegKind {
    /// Bare SRTP and SRTCP (first byte 128–191).
    Rtp,
    /// ChannelData frames (first byte 64–79).
    Opaque,
}

impl From<TwoLegKind> for RelayType {
    fn from(kind: TwoLegKind) -> Self {
        match kind {
            TwoLegKind::Rtp => Self::Rtp,
            TwoLegKind::Opaque => Self::Opaque,
        }
    }
}
