//! The time by which messages expire: the wall clock, as far as it can be believed (CF-09).
//!
//! It runs with the monotonic clock and follows the wall clock's small corrections. A jump is
//! believed only after the wall clock has run evenly for a day; until then nothing expires that
//! would not have expired without it. A restart counts as a jump when the wall clock says that
//! the node was away for more than a day.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crs_types::disk::Disk;
use crs_types::{Clock, Mono, Timestamp};

/// A larger difference between two looks is a jump.
const TOLERANCE: Duration = Duration::from_secs(60);
/// How long the wall clock must run evenly before a jump is believed.
const EVEN_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// A node that seems to have been away for longer does not believe its clock at once.
const AWAY_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Small corrections are followed by at most one part in this many of the time that passed.
const SLEW: u128 = 100;
/// Holds the last believed time, so that a restart can tell a jump.
const FILE: &str = "clock";

/// The believed time.
#[derive(Debug)]
pub(super) struct ExpiryClock {
    believed: Timestamp,
    at: Mono,
    /// A jump that is not believed yet: since when, and the wall clock's lead over the
    /// monotonic one in milliseconds.
    doubted: Option<(Mono, i128)>,
}

impl ExpiryClock {
    /// Starts; `last` is what was believed when the store was last open.
    pub(super) fn start(last: Option<Timestamp>, wall: Timestamp, mono: Mono) -> Self {
        let last = last.unwrap_or_default();
        let believed = if wall.since(last) <= AWAY_MAX { wall.max(last) } else { last };
        Self { believed, at: mono, doubted: None }
    }

    /// Looks at both clocks; the time before which everything due has expired.
    pub(super) fn look(&mut self, wall: Timestamp, mono: Mono) -> Timestamp {
        let passed = mono.since(self.at);
        self.believed = self.believed.plus(passed);
        self.at = mono;
        let lead = millis(wall) - millis(self.believed);
        if lead.unsigned_abs() <= TOLERANCE.as_millis() {
            self.doubted = None;
            self.follow(lead, passed);
        } else {
            self.doubt(wall, mono);
        }
        self.believed.min(wall)
    }

    fn follow(&mut self, lead: i128, passed: Duration) {
        let most = passed.as_millis() / SLEW;
        let step = Duration::from_millis(lead.unsigned_abs().min(most) as u64);
        let (later, earlier) = (self.believed.plus(step), self.believed.minus(step));
        self.believed = if lead > 0 { later } else { earlier };
    }

    fn doubt(&mut self, wall: Timestamp, mono: Mono) {
        let lead = millis(wall) - i128::from(mono.as_micros() / 1000);
        let even = |known: i128| (known - lead).unsigned_abs() <= TOLERANCE.as_millis();
        match self.doubted {
            Some((since, known)) if even(known) => {
                if mono.since(since) >= EVEN_FOR {
                    self.believed = wall;
                    self.doubted = None;
                }
            }
            Some(_) | None => {
                tracing::warn!(
                    clock = %wall, believed = %self.believed,
                    "the clock has jumped; messages expire by the old time for a day"
                );
                self.doubted = Some((mono, lead));
            }
        }
    }
}

/// Starts the clock from what was noted. `fresh` when the store was made just now.
pub(super) fn open(disk: &dyn Disk, clock: &Arc<dyn Clock>, fresh: bool) -> ExpiryClock {
    let (wall, mono) = (clock.now(), clock.mono());
    let last = if fresh { Some(wall) } else { noted(disk) };
    ExpiryClock::start(last, wall, mono)
}

/// Notes the believed time. Written in place, so that it works on a full disk.
pub(super) fn note(disk: &dyn Disk, believed: Timestamp) -> std::io::Result<()> {
    let bytes = believed.as_millis().to_be_bytes();
    let mut record = bytes.to_vec();
    record.extend(crc32c::crc32c(&bytes).to_be_bytes());
    let file = disk.open(Path::new(FILE), true)?;
    file.write_at(0, &record)?;
    file.sync()
}

/// `None` when nothing whole was noted: then the clock is believed after a day.
fn noted(disk: &dyn Disk) -> Option<Timestamp> {
    let record = disk.read(Path::new(FILE)).ok()?;
    let (bytes, sum) = record.split_first_chunk::<8>()?;
    let sum: [u8; 4] = sum.try_into().ok()?;
    let whole = crc32c::crc32c(bytes) == u32::from_be_bytes(sum);
    whole.then(|| Timestamp::from_millis(u64::from_be_bytes(*bytes)))
}

fn millis(time: Timestamp) -> i128 {
    i128::from(time.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeDisk;

    const START: u64 = 1_790_000_000_000;
    const SECOND: u64 = 1_000;
    const HOUR: u64 = 3_600 * SECOND;
    const DAY: u64 = 24 * HOUR;

    /// Time since the start, by each clock, in milliseconds.
    fn look(clock: &mut ExpiryClock, passed: u64, wall: u64) -> u64 {
        let mono = Mono::from_micros(passed * 1_000);
        clock.look(at(wall), mono).as_millis() - START
    }

    fn at(wall: u64) -> Timestamp {
        Timestamp::from_millis(START + wall)
    }

    fn started() -> ExpiryClock {
        ExpiryClock::start(Some(at(0)), at(0), Mono::default())
    }

    #[test]
    fn a_jump_ahead_is_believed_only_after_an_even_day() {
        for jump in [30 * DAY, 35 * DAY] {
            let mut clock = started();
            assert_eq!(look(&mut clock, HOUR, HOUR), HOUR);
            assert_eq!(look(&mut clock, 2 * HOUR, 2 * HOUR + jump), 2 * HOUR);
            assert_eq!(look(&mut clock, 25 * HOUR, 25 * HOUR + jump), 25 * HOUR);
            assert_eq!(look(&mut clock, 26 * HOUR, 26 * HOUR + jump), 26 * HOUR + jump);
        }
    }

    #[test]
    fn a_clock_that_is_put_right_again_has_changed_nothing() {
        let mut clock = started();
        look(&mut clock, HOUR, HOUR + 30 * DAY);
        look(&mut clock, 20 * HOUR, 20 * HOUR + 30 * DAY);
        assert_eq!(look(&mut clock, 21 * HOUR, 21 * HOUR), 21 * HOUR);
        // Back by a day: later is harmless, and the way forward again is no jump.
        assert_eq!(look(&mut clock, 40 * HOUR, 16 * HOUR), 16 * HOUR);
        assert_eq!(look(&mut clock, 41 * HOUR, 41 * HOUR), 41 * HOUR);
    }

    #[test]
    fn a_clock_that_jumps_to_and_fro_is_never_believed() {
        let mut clock = started();
        for minute in 1..5_000 {
            let passed = minute * 60 * SECOND;
            let jump = if minute % 7 < 4 { 40 * DAY } else { 0 };
            assert!(look(&mut clock, passed, passed + jump) <= passed + SECOND);
        }
        let mut clock = started();
        for second in 1..10_000 {
            let passed = second * SECOND;
            let wall = if second % 2 == 0 { passed + 2 * SECOND } else { passed - SECOND };
            assert!(look(&mut clock, passed, wall) <= passed + 2 * SECOND);
        }
    }

    #[test]
    fn small_corrections_are_followed() {
        let mut clock = started();
        // One second too much in every thousand.
        for n in 1..1_000 {
            let passed = n * 100 * SECOND;
            let wall = passed + passed / 1_000;
            assert!(look(&mut clock, passed, wall) + SECOND >= wall);
        }
    }

    #[test]
    fn a_restart_believes_a_short_absence_and_doubts_a_long_one() {
        let disk = FakeDisk::new();
        note(&disk, at(0)).unwrap();
        let restarted = |wall| ExpiryClock::start(noted(&disk), at(wall), Mono::default());
        assert_eq!(look(&mut restarted(HOUR), 0, HOUR), HOUR);
        let mut long = restarted(30 * DAY);
        assert_eq!(look(&mut long, 0, 30 * DAY), 0);
        assert_eq!(look(&mut long, 23 * HOUR, 30 * DAY + 23 * HOUR), 23 * HOUR);
        assert_eq!(look(&mut long, DAY, 31 * DAY), 31 * DAY);
        disk.flip_bit(Path::new(FILE), 3);
        assert_eq!(noted(&disk), None);
    }
}
