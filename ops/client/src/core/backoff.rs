//! Pauses between connection attempts: exponential with full jitter and a cap, so that clients
//! that were cut at once come back spread out.

use std::time::Duration;

use crs_types::Rng;

/// First range of the pause.
pub const BASE: Duration = Duration::from_millis(500);

/// The back-off of one client.
#[derive(Debug, Clone)]
pub struct Backoff {
    failures: u32,
    cap: Duration,
}

impl Backoff {
    /// A back-off that never pauses longer than `cap`.
    pub fn new(cap: Duration) -> Self {
        Self { failures: 0, cap }
    }

    /// Connected and registered: the next pause is short again.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// An attempt failed: how long to wait, drawn evenly from zero to the present range.
    pub fn failed(&mut self, rng: &mut dyn Rng) -> Duration {
        let range = BASE.saturating_mul(1 << self.failures.min(16)).min(self.cap);
        self.failures = self.failures.saturating_add(1);
        let mut word = [0; 8];
        rng.fill(&mut word);
        let range = u64::try_from(range.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(u64::from_le_bytes(word) % (range + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crs_types::rng::SeededRng;

    struct Highest;
    impl Rng for Highest {
        fn fill(&mut self, out: &mut [u8]) {
            out.fill(0xff);
        }
    }

    #[test]
    fn the_range_doubles_up_to_the_cap_and_starts_again_after_success() {
        let cap = Duration::from_secs(8);
        let mut backoff = Backoff::new(cap);
        let mut rng = SeededRng::new(7);
        for n in 0..40 {
            let range = BASE.saturating_mul(1 << n.min(16)).min(cap);
            assert!(backoff.failed(&mut rng) <= range);
        }
        backoff.succeeded();
        assert!(backoff.failed(&mut Highest) <= BASE);
    }

    #[test]
    fn pauses_are_spread_over_the_whole_range() {
        let mut rng = SeededRng::new(1);
        let pauses: Vec<_> =
            (0..1000).map(|_| Backoff::new(Duration::from_secs(30)).failed(&mut rng)).collect();
        let below = pauses.iter().filter(|p| **p < BASE / 2).count();
        assert!((400..600).contains(&below), "{below} of 1000 in the lower half");
    }
}
