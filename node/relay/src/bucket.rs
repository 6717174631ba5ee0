//! The rate cap of a leg: one token bucket for packets, one for bytes.

use crate::config::LegRate;

/// Bursts that pass at once, in microseconds' worth of the rate.
const BURST_MICROS: u64 = 250_000;

/// Tokens in millionths, so that a microsecond at `n` per second is exactly `n` of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    packets: u64,
    bytes: u64,
    at: u64,
}

/// A [`LegRate`] made ready for [`Bucket`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    packets: u64,
    bytes: u64,
    packets_full: u64,
    bytes_full: u64,
}

impl From<LegRate> for Rate {
    fn from(rate: LegRate) -> Self {
        let packets = u64::from(rate.packets_per_second);
        let bytes = u64::from(rate.bytes_per_second);
        // A burst holds at least one packet of any size, or nothing would ever pass.
        let packets_full = (packets * BURST_MICROS).max(1_000_000);
        let bytes_full = (bytes * BURST_MICROS).max(1_500 * 1_000_000);
        Self { packets, bytes, packets_full, bytes_full }
    }
}

impl Bucket {
    pub(crate) const EMPTY: Self = Self { packets: 0, bytes: 0, at: 0 };

    /// A full bucket.
    pub(crate) fn full(rate: &Rate, now: u64) -> Self {
        Self { packets: rate.packets_full, bytes: rate.bytes_full, at: now }
    }

    /// Takes one packet of `length` bytes at `now` (microseconds); false when it is over the cap.
    pub(crate) fn take(&mut self, rate: &Rate, now: u64, length: usize) -> bool {
        if now > self.at {
            // A second fills any bucket; the clamp keeps the products far from overflow.
            let passed = (now - self.at).min(1_000_000);
            self.packets = (self.packets + passed * rate.packets).min(rate.packets_full);
            self.bytes = (self.bytes + passed * rate.bytes).min(rate.bytes_full);
            self.at = now;
        }
        let bytes = length as u64 * 1_000_000;
        if self.packets < 1_000_000 || self.bytes < bytes {
            return false;
        }
        self.packets -= 1_000_000;
        self.bytes -= bytes;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(packets: u32, bytes: u32) -> Rate {
        Rate::from(LegRate { packets_per_second: packets, bytes_per_second: bytes })
    }

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let rate = rate(100, 1_000_000);
        let mut bucket = Bucket::full(&rate, 0);
        let passed = (0..1000).filter(|_| bucket.take(&rate, 0, 100)).count();
        assert_eq!(passed, 25, "a quarter of a second's worth");
        assert!(!bucket.take(&rate, 9_999, 100));
        assert!(bucket.take(&rate, 10_000, 100));
    }

    #[test]
    fn bytes_are_capped_too() {
        let rate = rate(1_000_000, 100_000);
        let mut bucket = Bucket::full(&rate, 0);
        let passed = (0..1000).filter(|_| bucket.take(&rate, 0, 1_000)).count();
        assert_eq!(passed, 25);
    }

    proptest! {
        /// Over any sequence of times and sizes no more passes than burst plus rate times time.
        #[test]
        fn never_more_than_burst_and_rate(steps in prop::collection::vec((0u64..50_000, 8usize..1500), 1..300)) {
            let rate = rate(200, 60_000);
            let mut bucket = Bucket::full(&rate, 0);
            let (mut now, mut packets, mut bytes) = (0u64, 0u64, 0u64);
            for (step, length) in steps {
                now += step;
                if bucket.take(&rate, now, length) {
                    packets += 1;
                    bytes += length as u64;
                }
                prop_assert!(packets <= 50 + 200 * now / 1_000_000 + 1);
                prop_assert!(bytes <= 15_000 + 60_000 * now / 1_000_000 + 1);
            }
        }
    }
}
