//! Certificates that end soon, told in tiers.

use std::collections::BTreeMap;
use std::fmt;

use crs_types::Timestamp;

const DAY: u64 = 86_400;
/// Days before its end at which a certificate is told of, and its end itself.
pub const TIERS: [u64; 4] = [30, 7, 1, 0];

/// A certificate ends soon, or has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiring {
    /// Whose certificate, such as `the certificate of the client port`.
    pub whose: String,
    /// Its end.
    pub end: Timestamp,
    /// The tier it has come to, in days; 0: it has ended.
    pub days: u64,
}

/// Tells of each certificate once a tier; a later end begins anew.
#[derive(Debug, Default)]
pub struct ExpiryWatch {
    told: BTreeMap<String, (Timestamp, u64)>,
}

impl ExpiryWatch {
    /// Takes the ends of all certificates that there are. Returns those that came to a further
    /// tier.
    pub fn look(
        &mut self,
        now: Timestamp,
        ends: impl IntoIterator<Item = (String, Timestamp)>,
    ) -> Vec<Expiring> {
        let mut told = BTreeMap::new();
        let mut new = Vec::new();
        for (whose, end) in ends {
            let Some(days) = tier(now, end) else { continue };
            if self.told.get(&whose).is_none_or(|&(e, d)| e != end || days < d) {
                new.push(Expiring { whose: whose.clone(), end, days });
            }
            told.insert(whose, (end, days));
        }
        self.told = told;
        new
    }
}

/// The smallest tier that the certificate has come to; `None` while it is good for longer.
fn tier(now: Timestamp, end: Timestamp) -> Option<u64> {
    if end <= now {
        return Some(0);
    }
    let left = end.since(now).as_millis();
    TIERS.into_iter().rev().find(|days| left <= u128::from(days * DAY * 1000))
}

impl fmt::Display for Expiring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { whose, end, days } = self;
        match days {
            0 => write!(f, "{whose} has ended at {end}"),
            1 => write!(f, "{whose} ends within a day, at {end}"),
            days => write!(f, "{whose} ends within {days} days, at {end}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const END: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn before(days: u64) -> Timestamp {
        END.minus(Duration::from_secs(days * DAY))
    }

    fn look(watch: &mut ExpiryWatch, now: Timestamp, end: Timestamp) -> Vec<u64> {
        watch.look(now, [("it".to_owned(), end)]).iter().map(|told| told.days).collect()
    }

    #[test]
    fn each_tier_is_told_once() {
        let mut watch = ExpiryWatch::default();
        let just_before = before(30).minus(Duration::from_millis(1));
        assert!(look(&mut watch, just_before, END).is_empty());
        let mut told = Vec::new();
        for days in (0..=30).rev() {
            for _ in 0..2 {
                told.extend(look(&mut watch, before(days), END));
            }
        }
        told.extend(look(&mut watch, END.plus(Duration::from_secs(DAY)), END));
        assert_eq!(told, TIERS);
    }

    #[test]
    fn a_node_that_starts_late_tells_the_tier_it_finds() {
        assert_eq!(look(&mut ExpiryWatch::default(), before(3), END), [7]);
        assert_eq!(look(&mut ExpiryWatch::default(), END, END), [0]);
    }

    #[test]
    fn a_renewed_certificate_begins_anew_and_one_that_is_gone_is_forgotten() {
        let mut watch = ExpiryWatch::default();
        assert_eq!(look(&mut watch, before(1), END), [1]);
        let renewed = END.plus(Duration::from_secs(20 * DAY));
        assert_eq!(look(&mut watch, before(1), renewed), [30]);
        assert!(watch.look(before(1), []).is_empty());
        assert_eq!(look(&mut watch, before(1), renewed), [30]);
    }

    #[test]
    fn it_reads_as_a_sentence() {
        let told = |days| Expiring { whose: "it".to_owned(), end: END, days }.to_string();
        assert_eq!(told(7), "it ends within 7 days, at 2027-01-15T08:00:00.000Z");
        assert_eq!(told(1), "it ends within a day, at 2027-01-15T08:00:00.000Z");
        assert_eq!(told(0), "it has ended at 2027-01-15T08:00:00.000Z");
    }
}
