//! Pauses between connection attempts (docs/protocol.md, *Reconnecting*): exponential with full
//! jitter, so that clients that were cut at once come back spread out; slow when the server has
//! refused the client, whose next attempt will fare no better soon.

use std::time::Duration;

use crs_types::{Mono, Rng};

/// First range of the pause after a loss.
pub const BASE: Duration = Duration::from_secs(1);
/// First range of the pause after a refusal.
pub const REFUSED_BASE: Duration = Duration::from_secs(60);
/// Largest range of the pause after refusals.
pub const REFUSED_CAP: Duration = Duration::from_secs(60 * 60);
/// A registration that lasted this long was a success: the next pause is short again.
pub const SUCCESS_AFTER: Duration = Duration::from_secs(60);

/// How an attempt or a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Not reached, or lost.
    Lost,
    /// The certificate was refused, or the registration denied.
    Refused,
}

/// The back-off of one client.
#[derive(Debug, Clone)]
pub struct Backoff {
    /// Losses and refusals in a row.
    lost: u32,
    refused: u32,
    cap: Duration,
    /// Registered since.
    since: Option<Mono>,
}

impl Backoff {
    /// A back-off that never pauses longer than `cap` after a loss.
    pub fn new(cap: Duration) -> Self {
        Self { lost: 0, refused: 0, cap, since: None }
    }

    /// Connected and registered.
    pub fn succeeded(&mut self, now: Mono) {
        self.refused = 0;
        self.since = Some(now);
    }

    /// An attempt failed or a connection was lost: how long to wait, drawn evenly from zero to
    /// the present range.
    pub fn failed(&mut self, failure: Failure, now: Mono, rng: &mut dyn Rng) -> Duration {
        if self.since.take().is_some_and(|since| now.since(since) >= SUCCESS_AFTER) {
            self.lost = 0;
        }
        let (count, base, cap) = match failure {
            Failure::Lost => (&mut self.lost, BASE, self.cap),
            Failure::Refused => (&mut self.refused, REFUSED_BASE, REFUSED_CAP),
        };
        let range = base.saturating_mul(1 << (*count).min(16)).min(cap);
        *count = count.saturating_add(1);
        let mut word = [0; 8];
        rng.fill(&mut word);
        let range = u64::try_from(range.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(u64::from_le_bytes(word) % range.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crs_types::rng::SeededRng;

    const START: Mono = Mono::from_micros(0);
    const CAP: Duration = Duration::from_secs(60);

    /// The largest of many draws is close to the range.
    fn range(backoff: &Backoff, failure: Failure, now: Mono) -> Duration {
        let mut rng = SeededRng::new(7);
        let draws = (0..2000).map(|_| backoff.clone().failed(failure, now, &mut rng));
        draws.max().unwrap()
    }

    fn close(found: Duration, expected: Duration) -> bool {
        found <= expected && found > expected.mul_f64(0.98)
    }

    #[test]
    fn the_range_doubles_up_to_the_cap() {
        let mut backoff = Backoff::new(CAP);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let found = range(&backoff, Failure::Lost, START);
            assert!(close(found, Duration::from_secs(seconds)), "{found:?} of {seconds} s");
            backoff.failed(Failure::Lost, START, &mut SeededRng::new(1));
        }
    }

    #[test]
    fn a_refused_client_waits_minutes_up_to_an_hour() {
        let mut backoff = Backoff::new(CAP);
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            let found = range(&backoff, Failure::Refused, START);
            assert!(close(found, Duration::from_secs(minutes * 60)), "{found:?} of {minutes} min");
            backoff.failed(Failure::Refused, START, &mut SeededRng::new(1));
        }
        backoff.succeeded(START);
        assert!(range(&backoff, Failure::Refused, START) <= REFUSED_BASE);
    }

    #[test]
    fn only_a_lasting_registration_makes_the_pause_short_again() {
        let mut backoff = Backoff::new(CAP);
        let mut rng = SeededRng::new(1);
        for _ in 0..4 {
            backoff.failed(Failure::Lost, START, &mut rng);
        }
        backoff.succeeded(START);
        let soon = START.plus(SUCCESS_AFTER - Duration::from_millis(1));
        assert!(close(range(&backoff, Failure::Lost, soon), Duration::from_secs(16)));
        let late = START.plus(SUCCESS_AFTER);
        assert!(close(range(&backoff, Failure::Lost, late), Duration::from_secs(1)));
    }

    #[test]
    fn pauses_are_spread_over_the_whole_range() {
        let mut rng = SeededRng::new(1);
        let mut first = || Backoff::new(CAP).failed(Failure::Lost, START, &mut rng);
        let below = (0..1000).filter(|_| first() < BASE / 2).count();
        assert!((400..600).contains(&below), "{below} of 1000 in the lower half");
    }
}
