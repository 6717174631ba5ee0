//! Media: `relay.alloc`, `relay.refresh`, `relay.free`.

use std::fmt;
use std::net::SocketAddr;

use crs_types::SessionId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a relay forwards.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RelayKind {
    /// SRTP and SRTCP, forwarded unchanged.
    #[default]
    Rtp,
    /// Any datagram, framed as ChannelData (RFC 8656 §12.4).
    Opaque,
}

/// Op `relay.alloc`: this party's leg of the session's relay. Both parties of a session may ask
/// from state `invite` on; asking again gives the same leg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Alloc {
    /// The session.
    #[schemars(with = "String")]
    pub session: SessionId,
}

/// Reply to `relay.alloc`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Leg {
    /// The leg, for `relay.refresh` and `relay.free`.
    pub leg: u64,
    /// What it forwards.
    pub kind: RelayKind,
    /// Where to send, best first.
    pub addresses: Vec<MediaAddress>,
    /// The leg's short-term user name (STUN USERNAME, RFC 8489 §9.1). The client sends Binding
    /// requests with `USERNAME = <ufrag>`; the relay's own check uses the same name.
    pub ufrag: String,
    /// The leg's password (STUN short-term key).
    pub password: String,
    /// The channel number of the other leg, for opaque relays (0x4000…0x4FFF).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<u16>,
    /// The leg ends unless refreshed or bound within this time (milliseconds).
    pub lifetime_ms: u64,
}

/// Never prints the password.
impl fmt::Debug for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leg")
            .field("leg", &self.leg)
            .field("kind", &self.kind)
            .field("addresses", &self.addresses)
            .field("ufrag", &self.ufrag)
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}

/// An address of the relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "transport", rename_all = "lowercase")]
pub enum MediaAddress {
    /// UDP to this address.
    Udp {
        /// `ip:port`, IPv6 in brackets.
        #[schemars(with = "String")]
        addr: SocketAddr,
    },
}

/// Op `relay.refresh`: keeps an unbound leg alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refresh {
    /// The leg.
    pub leg: u64,
}

/// Op `relay.free`: this party needs its leg no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Free {
    /// The leg.
    pub leg: u64,
}
