//! A fixed-capacity open-addressing table from an address or a user name to a leg's slot.
//!
//! Linear probing with backward-shift deletion: no tombstones, no growth, no allocation after
//! construction. The hash is keyed, so that nobody outside can choose colliding addresses.

use std::net::{IpAddr, SocketAddr};

use crs_proto::leg::UFRAG_LENGTH;

/// Key of a table: 24 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Key([u64; 3]);

impl Key {
    /// A client's address. The relay's own address is left out: two legs on one client address
    /// are refused, whichever of our addresses they use.
    pub(crate) fn address(remote: SocketAddr) -> Self {
        let (ip, scope) = match remote {
            SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0),
            SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id()),
        };
        let bits = ip.to_bits();
        let rest = u64::from(scope) << 16 | u64::from(remote.port());
        Self([(bits >> 64) as u64, bits as u64, rest])
    }

    /// A leg's STUN user name.
    pub(crate) fn name(name: &[u8; UFRAG_LENGTH]) -> Self {
        const { assert!(UFRAG_LENGTH <= 24, "a user name fits into a key") };
        let mut words = [0; 3];
        for (word, bytes) in words.iter_mut().zip(name.chunks(8)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        Self(words)
    }
}

/// True for an address that nothing may ever be sent to: port 0, unspecified, multicast or
/// broadcast. Such a source can only be forged.
pub(crate) fn impossible(remote: SocketAddr) -> bool {
    let ip = match remote.ip().to_canonical() {
        IpAddr::V4(v4) => v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_multicast(),
    };
    ip || remote.port() == 0
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    key: Key,
    /// Slot plus one; zero is empty.
    slot: u32,
}

/// The table. Holds at most the capacity it was made for.
#[derive(Debug)]
pub(crate) struct Table {
    entries: Box<[Entry]>,
    mask: usize,
    seed: [u64; 2],
    length: usize,
    capacity: usize,
}

impl Table {
    /// Room for `capacity` keys, at most half full; `seed` is random per process.
    pub(crate) fn new(capacity: usize, seed: [u64; 2]) -> Self {
        let size = (capacity.max(1) * 2).next_power_of_two();
        Self {
            entries: vec![Entry::default(); size].into_boxed_slice(),
            mask: size - 1,
            seed,
            length: 0,
            capacity,
        }
    }

    /// The slot of `key`.
    pub(crate) fn get(&self, key: &Key) -> Option<u32> {
        let entry = &self.entries[self.find(key)];
        entry.slot.checked_sub(1)
    }

    /// Maps `key` to `slot`, replacing an earlier mapping. False when the table is full.
    pub(crate) fn insert(&mut self, key: Key, slot: u32) -> bool {
        let at = self.find(&key);
        if self.entries[at].slot == 0 {
            if self.length == self.capacity {
                return false;
            }
            self.length += 1;
        }
        self.entries[at] = Entry { key, slot: slot + 1 };
        true
    }

    /// Removes `key` if it maps to `slot`.
    pub(crate) fn remove(&mut self, key: &Key, slot: u32) {
        let mut hole = self.find(key);
        if self.entries[hole].slot != slot + 1 {
            return;
        }
        self.length -= 1;
        let mut at = hole;
        loop {
            at = (at + 1) & self.mask;
            let entry = self.entries[at];
            if entry.slot == 0 {
                break;
            }
            // An entry may move back into the hole unless its home lies behind the hole.
            let home = self.home(&entry.key);
            let from_home = at.wrapping_sub(home) & self.mask;
            let from_hole = at.wrapping_sub(hole) & self.mask;
            if from_home >= from_hole {
                self.entries[hole] = entry;
                hole = at;
            }
        }
        self.entries[hole] = Entry::default();
    }

    /// Where `key` is, or the empty place where it would be. Ends because the table is never more
    /// than half full.
    fn find(&self, key: &Key) -> usize {
        let mut at = self.home(key);
        while self.entries[at].slot != 0 && self.entries[at].key != *key {
            at = (at + 1) & self.mask;
        }
        at
    }

    fn home(&self, key: &Key) -> usize {
        let [a, b, c] = key.0;
        let h = fold(a ^ self.seed[0], b ^ self.seed[1]);
        fold(h ^ c, self.seed[0] ^ 0x9e37_79b9_7f4a_7c15) as usize & self.mask
    }
}

/// Both halves of a 128-bit product, joined.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn key(n: u16) -> Key {
        Key::address(SocketAddr::from(([10, 0, (n >> 8) as u8, 7], n)))
    }

    proptest! {
        /// Against a map: any sequence of inserts and removals, in a table small enough to be
        /// full and to wrap.
        #[test]
        fn behaves_as_a_map(ops in prop::collection::vec((any::<bool>(), 0u16..40, 0u32..9), 0..200)) {
            let mut table = Table::new(16, [3, 5]);
            let mut model = BTreeMap::new();
            for (insert, n, slot) in ops {
                if insert {
                    let fits = model.contains_key(&n) || model.len() < 16;
                    prop_assert_eq!(table.insert(key(n), slot), fits);
                    if fits {
                        model.insert(n, slot);
                    }
                } else {
                    table.remove(&key(n), slot);
                    if model.get(&n) == Some(&slot) {
                        model.remove(&n);
                    }
                }
                for n in 0..40 {
                    prop_assert_eq!(table.get(&key(n)), model.get(&n).copied());
                }
            }
        }
    }

    #[test]
    fn addresses_that_can_only_be_forged_are_known() {
        let bad =
            ["0.0.0.0:5", "1.2.3.4:0", "224.0.0.1:5", "255.255.255.255:5", "[::]:5", "[ff02::1]:5"];
        for text in bad {
            assert!(impossible(text.parse().unwrap()), "{text}");
        }
        for text in ["127.0.0.1:5", "[::1]:5", "10.1.2.3:65535"] {
            assert!(!impossible(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn the_scope_is_part_of_an_address() {
        let a: SocketAddr = "[fe80::1%1]:9".parse().unwrap();
        let b: SocketAddr = "[fe80::1%2]:9".parse().unwrap();
        assert_ne!(Key::address(a), Key::address(b));
    }
}
