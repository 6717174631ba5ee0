//! Network addresses, normalised once before any rule looks at them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Address of a client (or whoever speaks from outside), with IPv4-mapped IPv6 folded to IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "SocketAddr", into = "SocketAddr")]
pub struct ClientAddr(SocketAddr);

impl ClientAddr {
    /// Normalises an address from a socket.
    pub fn new(addr: SocketAddr) -> Self {
        Self(SocketAddr::new(normalised(addr.ip()), addr.port()))
    }

    /// The IP address.
    pub fn ip(self) -> IpAddr {
        self.0.ip()
    }

    /// The port.
    pub fn port(self) -> u16 {
        self.0.port()
    }

    /// As a socket address.
    pub fn socket(self) -> SocketAddr {
        self.0
    }
}

/// IPv4-mapped IPv6 (`::ffff:a.b.c.d`) folded to IPv4; everything else unchanged.
pub fn normalised(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

impl From<SocketAddr> for ClientAddr {
    fn from(addr: SocketAddr) -> Self {
        Self::new(addr)
    }
}

impl From<ClientAddr> for SocketAddr {
    fn from(addr: ClientAddr) -> Self {
        addr.0
    }
}

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_become_ipv4() {
        let mapped: SocketAddr = "[::ffff:127.0.0.1]:5223".parse().unwrap();
        assert_eq!(ClientAddr::new(mapped).to_string(), "127.0.0.1:5223");
    }
}
