//! Counts a repeated record instead of repeating it (U35). Sans-I/O: time is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use crs_types::Mono;

/// How long repeats of a record are counted before the count is written.
pub(super) const WINDOW: Duration = Duration::from_secs(10);
/// Records that are watched at once; further ones are written as they come.
pub(super) const WATCHED_MAX: usize = 64;

/// Records written lately and how often they came again.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    watched: BTreeMap<String, Watched>,
}

#[derive(Debug)]
struct Watched {
    since: Mono,
    repeats: u64,
}

impl Repeats {
    /// True when the record is to be written, false when it was counted.
    pub(super) fn offer(&mut self, record: &str, now: Mono) -> bool {
        if let Some(watched) = self.watched.get_mut(record) {
            watched.repeats += 1;
            return false;
        }
        if self.watched.len() < WATCHED_MAX {
            self.watched.insert(record.to_owned(), Watched { since: now, repeats: 0 });
        }
        true
    }

    /// Takes out the records whose window has ended: those that came again, with their count.
    pub(super) fn ended(&mut self, now: Mono) -> Vec<(String, u64)> {
        let ended = |watched: &Watched| now.since(watched.since) >= WINDOW;
        let names: Vec<String> =
            self.watched.iter().filter(|(_, w)| ended(w)).map(|(name, _)| name.clone()).collect();
        names
            .into_iter()
            .filter_map(|name| self.watched.remove(&name).map(|watched| (name, watched.repeats)))
            .filter(|(_, repeats)| *repeats > 0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Mono {
        Mono::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn repeats_are_counted_and_told_at_the_end_of_the_window() {
        let mut repeats = Repeats::default();
        assert!(repeats.offer("disk full", at(0)));
        assert!(!repeats.offer("disk full", at(1)));
        assert!(!repeats.offer("disk full", at(9)));
        assert!(repeats.offer("something else", at(9)));
        assert_eq!(repeats.ended(at(9)), []);
        assert_eq!(repeats.ended(at(10)), [("disk full".to_owned(), 2)]);
        assert!(repeats.offer("disk full", at(11)));
    }

    #[test]
    fn the_number_of_watched_records_is_bounded() {
        let mut repeats = Repeats::default();
        for n in 0..WATCHED_MAX {
            assert!(repeats.offer(&n.to_string(), at(0)));
        }
        assert!(repeats.offer("one more", at(0)));
        assert!(repeats.offer("one more", at(0)), "not watched, so written again");
        assert!(!repeats.offer("0", at(0)));
    }
}
