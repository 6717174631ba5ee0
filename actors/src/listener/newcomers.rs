//! How many connections of one network have not attached: silence costs a handshake's place for
//! 10 s, and whoever has many addresses of one network could take all of them.
//!
//! Only a share is bounded, not a small number: a whole office may come back at once from behind
//! one address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crs_types::ClientAddr;

/// Connections that have not attached, by network.
#[derive(Debug, Default)]
pub struct Newcomers(Mutex<BTreeMap<Network, usize>>);

/// One connection's place among them; free again when dropped.
#[derive(Debug)]
pub struct Newcomer {
    all: Arc<Newcomers>,
    network: Network,
}

/// What one subscriber or one rented machine's neighbours have: an IPv4 /24, an IPv6 /56
/// (RFC 6177 §2: sites get that much or more).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Network {
    V4(u32),
    V6(u128),
}

impl Newcomers {
    /// Nobody is there.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Takes a place for a connection from `addr` while `free` handshakes more could run; `None`
    /// when its network has as many already. So one network gets half of all, and however many
    /// there are that take what they can, as much as each of them has is left for others.
    pub fn enter(self: &Arc<Self>, addr: ClientAddr, free: usize) -> Option<Newcomer> {
        let network = Network::of(addr);
        let mut counts = self.lock();
        let count = counts.get(&network).copied().unwrap_or_default();
        if count >= free {
            return None;
        }
        counts.insert(network, count + 1);
        Some(Newcomer { all: Arc::clone(self), network })
    }

    /// Every change is completed under the lock by code that does not panic.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Network, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Network {
    /// Addresses are normalised already, so that a mapped IPv4 address is in its IPv4 network.
    fn of(addr: ClientAddr) -> Self {
        match addr.ip() {
            IpAddr::V4(ip) => Self::V4(ip.to_bits() >> 8),
            IpAddr::V6(ip) => Self::V6(ip.to_bits() >> 72),
        }
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        let mut counts = self.all.lock();
        let Some(count) = counts.get_mut(&self.network) else { return };
        *count -= 1;
        if *count == 0 {
            counts.remove(&self.network);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(ip: &str) -> ClientAddr {
        ClientAddr::new((ip.parse::<IpAddr>().unwrap(), 1).into())
    }

    /// Lets every network take what it can of `places`, in turns.
    fn greedy(places: usize, networks: &[&str]) -> Vec<usize> {
        let newcomers = Newcomers::new();
        let mut held = Vec::new();
        let mut counts = vec![0; networks.len()];
        for _ in 0..places {
            for (count, ip) in counts.iter_mut().zip(networks) {
                let newcomer = newcomers.enter(addr(ip), places - held.len());
                *count += usize::from(newcomer.is_some());
                held.extend(newcomer);
            }
        }
        drop(held);
        assert!(newcomers.lock().is_empty(), "nothing is left of whoever has gone");
        counts
    }

    #[test]
    fn as_much_as_a_network_has_is_left_for_others() {
        assert_eq!(greedy(8192, &["192.0.2.1"]), [4096]);
        assert_eq!(greedy(9, &["192.0.2.1", "198.51.100.1"]), [3, 3]);
        assert_eq!(greedy(8, &["192.0.2.1", "198.51.100.1", "2001:db8::1"]), [2, 2, 2]);
    }

    #[test]
    fn a_network_is_a_slash_24_or_a_slash_56() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.254", true),
            ("192.0.2.1", "::ffff:192.0.2.9", true),
            ("192.0.2.1", "192.0.3.1", false),
            ("2001:db8:0:7f::1", "2001:db8:0:80::1", true),
            ("2001:db8:0:ff::1", "2001:db8:0:100::1", false),
            ("::c000:201", "192.0.2.1", false),
        ] {
            let newcomers = Newcomers::new();
            let _first = newcomers.enter(addr(one), 1).unwrap();
            assert_eq!(newcomers.enter(addr(other), 1).is_none(), same, "{one} {other}");
        }
    }
}
