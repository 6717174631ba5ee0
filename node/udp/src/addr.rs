//! Socket addresses in the kernel's layout, converted without unsafe code.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Room for a `sockaddr_in` or `sockaddr_in6`.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct RawAddr {
    bytes: [u8; 28],
}

/// Size the kernel is told when it fills a [`RawAddr`].
pub(crate) const RAW_ADDR_LEN: libc::socklen_t = 28;

impl RawAddr {
    pub(crate) const EMPTY: Self = Self { bytes: [0; 28] };

    /// Writes `addr` and returns the length for `msg_namelen`.
    pub(crate) fn set(&mut self, addr: SocketAddr) -> libc::socklen_t {
        match addr {
            SocketAddr::V4(v4) => {
                self.bytes[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                self.bytes[2..4].copy_from_slice(&v4.port().to_be_bytes());
                self.bytes[4..8].copy_from_slice(&v4.ip().octets());
                self.bytes[8..16].fill(0);
                16
            }
            SocketAddr::V6(v6) => {
                self.bytes[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
                self.bytes[2..4].copy_from_slice(&v6.port().to_be_bytes());
                self.bytes[4..8].copy_from_slice(&v6.flowinfo().to_ne_bytes());
                self.bytes[8..24].copy_from_slice(&v6.ip().octets());
                self.bytes[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
                28
            }
        }
    }

    /// The address the kernel wrote; `None` for a family that no UDP socket of ours can have.
    pub(crate) fn get(&self) -> Option<SocketAddr> {
        let b = &self.bytes;
        let family = i32::from(u16::from_ne_bytes([b[0], b[1]]));
        let port = u16::from_be_bytes([b[2], b[3]]);
        if family == libc::AF_INET {
            let ip = Ipv4Addr::new(b[4], b[5], b[6], b[7]);
            return Some(SocketAddr::V4(SocketAddrV4::new(ip, port)));
        }
        if family != libc::AF_INET6 {
            return None;
        }
        let mut octets = [0; 16];
        octets.copy_from_slice(&b[8..24]);
        // The flow label is left out on purpose: it is no part of who the sender is.
        let scope = u32::from_ne_bytes([b[24], b[25], b[26], b[27]]);
        Some(SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(octets), port, 0, scope)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip() {
        for text in ["127.0.0.1:1", "255.1.2.3:65535", "[::1]:146", "[2001:db8::7]:443"] {
            let addr: SocketAddr = text.parse().unwrap();
            let mut raw = RawAddr::EMPTY;
            raw.set(addr);
            assert_eq!(raw.get(), Some(addr));
        }
        assert_eq!(RawAddr::EMPTY.get(), None);
    }
}
