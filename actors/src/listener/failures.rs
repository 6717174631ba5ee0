//! Limit per address on *failed* handshakes: a whole mobile network may share one address, so
//! successful ones never count (design.md §9, Q-55).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use crs_proto::rate::{Bucket, Rate};
use crs_types::{ClientAddr, Mono};

/// Most addresses remembered; at the limit the ones that have recovered are dropped, then all.
pub const ADDRESSES_MAX: usize = 65_536;

/// Failures by address; IPv6 by /64.
#[derive(Debug, Default)]
pub struct Failures(Mutex<HashMap<IpAddr, Bucket>>);

impl Failures {
    /// Nobody has failed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A handshake from `addr` failed.
    pub fn count(&self, addr: ClientAddr, per_minute: u32, now: Mono) {
        let rate = Rate::per_minute(per_minute);
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= ADDRESSES_MAX {
            table.retain(|_, bucket| !recovered(*bucket, rate, now));
        }
        if table.len() >= ADDRESSES_MAX {
            table.clear();
        }
        let _ = table.entry(network(addr)).or_default().take(rate, now);
    }

    /// True when `addr` has used up its failures: its connection is closed unread.
    pub fn refuses(&self, addr: ClientAddr, per_minute: u32, now: Mono) -> bool {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = table.get(&network(addr)).copied();
        bucket.is_some_and(|mut copy| copy.take(Rate::per_minute(per_minute), now).is_err())
    }
}

/// True when the bucket is full again: a bucket of one token gives it.
fn recovered(mut bucket: Bucket, rate: Rate, now: Mono) -> bool {
    bucket.take(Rate { burst: 1, ..rate }, now).is_ok()
}

fn network(addr: ClientAddr) -> IpAddr {
    match addr.ip() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn addr(text: &str) -> ClientAddr {
        ClientAddr::new(text.parse().unwrap())
    }

    #[test]
    fn an_address_is_refused_after_its_failures_and_recovers() {
        let failures = Failures::new();
        let start = Mono::from_micros(1_000_000_000);
        let (bad, other) = (addr("192.0.2.1:1"), addr("192.0.2.2:1"));
        for _ in 0..5 {
            assert!(!failures.refuses(bad, 5, start));
            failures.count(bad, 5, start);
        }
        assert!(failures.refuses(bad, 5, start));
        assert!(failures.refuses(addr("192.0.2.1:999"), 5, start));
        assert!(!failures.refuses(other, 5, start));
        assert!(!failures.refuses(bad, 5, start.plus(Duration::from_secs(12))));
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let failures = Failures::new();
        let now = Mono::from_micros(1);
        failures.count(addr("[2001:db8::1]:1"), 1, now);
        assert!(failures.refuses(addr("[2001:db8::2]:1"), 1, now));
        assert!(!failures.refuses(addr("[2001:db8:0:1::1]:1"), 1, now));
    }

    #[test]
    fn the_table_is_bounded() {
        let failures = Failures::new();
        for n in 0..ADDRESSES_MAX as u64 + 10 {
            let ip = IpAddr::V4(std::net::Ipv4Addr::from_bits(n as u32));
            failures.count(ClientAddr::new((ip, 1).into()), 1, Mono::from_micros(1));
        }
        let kept = failures.0.lock().unwrap().len();
        assert!(kept <= ADDRESSES_MAX, "{kept}");
    }
}
