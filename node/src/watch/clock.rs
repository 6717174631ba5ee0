//! Whether the wall clock moves as the monotonic clock does.

use std::fmt;
use std::time::Duration;

use crs_types::{Mono, Timestamp};

/// A wall clock that moves by this much more or less than the monotonic one has jumped. Time
/// synchronisation that works never gets there: it slews by at most 0.5 ms a second.
pub const JUMP: Duration = Duration::from_secs(2);

/// Both clocks at about the same moment.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Monotonic time just before the wall clock was read.
    pub before: Mono,
    /// The wall clock.
    pub wall: Timestamp,
    /// Monotonic time just after: a process that was held up in between proves nothing.
    pub after: Mono,
}

/// The wall clock jumped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// By how much at least, in milliseconds; negative when it was set back.
    pub by_ms: i64,
}

/// Compares each reading with the one before.
#[derive(Debug, Default)]
pub struct ClockWatch {
    last: Option<Reading>,
}

impl ClockWatch {
    /// Takes the next reading. `None` when the clock moved as it should, or nothing is proved.
    pub fn look(&mut self, now: Reading) -> Option<Jump> {
        let last = self.last.replace(now)?;
        let (least, most) = (now.before.since(last.after), now.after.since(last.before));
        let ahead = now.wall.since(last.wall).saturating_sub(most);
        // Of a step back the wall clock tells only how far before the last reading it stands.
        let behind = (last.wall.since(now.wall) + least).saturating_sub(now.wall.since(last.wall));
        if ahead >= JUMP {
            Some(Jump { by_ms: millis(ahead) })
        } else if behind >= JUMP {
            Some(Jump { by_ms: -millis(behind) })
        } else {
            None
        }
    }
}

impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.by_ms.unsigned_abs() as f64 / 1000.0;
        let way = if self.by_ms < 0 { "back" } else { "forward" };
        write!(f, "the clock jumped {way} by {seconds:.1} s")
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_800_000_000);

    /// Readings at (monotonic before, wall, monotonic after), all in ms since the start.
    fn jumps(readings: &[(u64, i64, u64)]) -> Vec<Option<i64>> {
        let mut watch = ClockWatch::default();
        let look = |&(before, wall, after): &(u64, i64, u64)| {
            let wall = Timestamp::from_millis(START.as_millis().saturating_add_signed(wall));
            let mono = |ms| Mono::from_micros(ms * 1000);
            let jump = watch.look(Reading { before: mono(before), wall, after: mono(after) });
            jump.map(|jump| jump.by_ms)
        };
        readings.iter().map(look).collect()
    }

    #[test]
    fn a_clock_that_slews_or_is_corrected_by_little_has_not_jumped() {
        let steady =
            [(0, 0, 0), (5000, 5003, 5000), (10_000, 9_000, 10_000), (15_000, 15_999, 15_000)];
        assert_eq!(jumps(&steady), [None; 4]);
    }

    #[test]
    fn a_jump_is_told_once_with_its_size() {
        let set = [(0, 0, 0), (5000, 3_605_000, 5000), (10_000, 3_610_000, 10_000)];
        assert_eq!(jumps(&set), [None, Some(3_600_000), None]);
        let back = [(0, 0, 0), (5000, -55_000, 5000), (10_000, -50_000, 10_000)];
        assert_eq!(jumps(&back), [None, Some(-60_000), None]);
        let stopped = [(0, 0, 0), (5000, 3000, 5000), (10_000, 6001, 10_000)];
        assert_eq!(jumps(&stopped), [None, Some(-2000), None]);
    }

    #[test]
    fn a_process_that_was_held_up_while_it_read_proves_nothing() {
        // 60 s passed between the two readings of one look; the wall clock was read at either end.
        assert_eq!(
            jumps(&[(0, 0, 0), (5000, 65_000, 65_000), (70_000, 70_000, 70_000)]),
            [None; 3]
        );
        assert_eq!(jumps(&[(0, 0, 0), (5000, 5000, 65_000), (70_000, 70_000, 70_000)]), [None; 3]);
    }

    #[test]
    fn it_reads_as_a_sentence() {
        assert_eq!(Jump { by_ms: -60_000 }.to_string(), "the clock jumped back by 60.0 s");
        assert_eq!(Jump { by_ms: 2_500 }.to_string(), "the clock jumped forward by 2.5 s");
    }
}
