//! Token buckets in eight bytes: the generic cell rate algorithm keeps only the time at
//! which the bucket would be full again.

use std::time::Duration;

use crs_types::Mono;

/// A rate limit: `per_minute` on average, `burst` at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that come back each minute; at least 1.
    pub per_minute: u32,
    /// Tokens of a full bucket; at least 1.
    pub burst: u32,
}

impl Rate {
    /// `n` a minute, all of which may come at once.
    pub const fn per_minute(n: u32) -> Self {
        Self { per_minute: n, burst: n }
    }

    fn interval(self) -> Duration {
        Duration::from_micros(60_000_000 / u64::from(self.per_minute.max(1)))
    }
}

/// One bucket; starts full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    full_at: Mono,
}

impl Bucket {
    /// Takes a token, or says how long to wait for one.
    pub fn take(&mut self, rate: Rate, now: Mono) -> Result<(), Duration> {
        let interval = rate.interval();
        let room = interval.saturating_mul(rate.burst.max(1));
        let full_at = self.full_at.max(now).plus(interval);
        let missing = full_at.since(now).saturating_sub(room);
        if missing.is_zero() {
            self.full_at = full_at;
            return Ok(());
        }
        Err(missing)
    }

    /// When it is full again, at whatever rate tokens were taken.
    pub fn full_at(&self) -> Mono {
        self.full_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_minute: 60, burst: 3 };

    #[test]
    fn a_burst_then_the_average() {
        let mut bucket = Bucket::default();
        let start = Mono::from_micros(5_000_000);
        for _ in 0..3 {
            assert_eq!(bucket.take(RATE, start), Ok(()));
        }
        assert_eq!(bucket.take(RATE, start), Err(Duration::from_secs(1)));
        let later = start.plus(Duration::from_millis(999));
        assert_eq!(bucket.take(RATE, later), Err(Duration::from_millis(1)));
        assert_eq!(bucket.take(RATE, start.plus(Duration::from_secs(1))), Ok(()));
    }

    #[test]
    fn a_refusal_costs_nothing_and_a_rest_fills_up_to_the_burst_only() {
        let mut bucket = Bucket::default();
        let now = Mono::from_micros(3_600_000_000);
        for _ in 0..100 {
            let _ = bucket.take(RATE, now);
        }
        assert_eq!(bucket.take(RATE, now), Err(Duration::from_secs(1)));
        let rested = now.plus(Duration::from_secs(600));
        assert_eq!((0..10).filter(|_| bucket.take(RATE, rested).is_ok()).count(), 3);
    }

    #[test]
    fn a_bucket_is_eight_bytes() {
        assert_eq!(size_of::<Bucket>(), 8);
    }
}
