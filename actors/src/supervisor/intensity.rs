//! Restart intensity: how many restarts in how long, and the back-off between them.

use std::collections::VecDeque;
use std::time::Duration;

use crs_types::Mono;

/// At most `restarts` in `window`; the n-th restart in the window waits `back_off` · 2ⁿ⁻¹, at
/// most `back_off_max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intensity {
    /// Restarts allowed in the window; one more escalates.
    pub restarts: u32,
    /// The sliding window.
    pub window: Duration,
    /// Wait before the first restart of a window.
    pub back_off: Duration,
    /// Longest wait.
    pub back_off_max: Duration,
}

impl Default for Intensity {
    fn default() -> Self {
        Self {
            restarts: 10,
            window: Duration::from_secs(10),
            back_off: Duration::from_millis(10),
            back_off_max: Duration::from_secs(5),
        }
    }
}

/// What to do about a child's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Start it again after this long.
    RestartIn(Duration),
    /// Too many restarts: the supervisor gives up.
    Escalate,
}

/// The restarts of one supervisor within its window. Feed it each failure with
/// [`RestartLog::failed`].
#[derive(Debug)]
pub struct RestartLog {
    intensity: Intensity,
    recent: VecDeque<Mono>,
}

impl RestartLog {
    /// An empty log.
    pub fn new(intensity: Intensity) -> Self {
        Self { intensity, recent: VecDeque::new() }
    }

    /// A child that must be restarted has ended.
    pub fn failed(&mut self, now: Mono) -> Verdict {
        while self.recent.front().is_some_and(|t| now.since(*t) > self.intensity.window) {
            self.recent.pop_front();
        }
        let before = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        if before >= self.intensity.restarts {
            return Verdict::Escalate;
        }
        self.recent.push_back(now);
        let factor = 1u32.checked_shl(before).unwrap_or(u32::MAX);
        let wait = self.intensity.back_off.saturating_mul(factor);
        Verdict::RestartIn(wait.min(self.intensity.back_off_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Mono {
        Mono::from_micros(millis * 1000)
    }

    #[test]
    fn back_off_doubles_and_the_limit_escalates() {
        let mut log = RestartLog::new(Intensity {
            restarts: 3,
            window: Duration::from_secs(1),
            back_off: Duration::from_millis(10),
            back_off_max: Duration::from_millis(30),
        });
        assert_eq!(log.failed(at(0)), Verdict::RestartIn(Duration::from_millis(10)));
        assert_eq!(log.failed(at(1)), Verdict::RestartIn(Duration::from_millis(20)));
        assert_eq!(log.failed(at(2)), Verdict::RestartIn(Duration::from_millis(30)));
        assert_eq!(log.failed(at(3)), Verdict::Escalate);
    }

    #[test]
    fn the_window_slides() {
        let mut log = RestartLog::new(Intensity { restarts: 1, ..Intensity::default() });
        assert!(matches!(log.failed(at(0)), Verdict::RestartIn(_)));
        assert_eq!(log.failed(at(10_000)), Verdict::Escalate);
        assert!(matches!(log.failed(at(10_001)), Verdict::RestartIn(_)));
    }
}
