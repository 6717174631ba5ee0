//! Key periods: calendar months in UTC (Q-35, design.md §4 *Months*).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::clock::days_from_civil;

const DAY: Duration = Duration::from_secs(86_400);

/// A certificate is accepted for its month plus this long.
pub const GRACE: Duration = Duration::from_secs(7 * 86_400);
/// After the grace a certificate may only fetch key updates, until this long after its month.
pub const UPDATE_ONLY: Duration = Duration::from_secs(60 * 86_400);

/// From this day of a month on, the next month's update should be applied.
pub const NEXT_WANTED_FROM_DAY: u32 = 21;

/// A calendar month in UTC, written `YYYY-MM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period {
    year: u16,
    month: u8,
}

/// A text is not a period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a month as YYYY-MM between 2000-01 and 9999-12, got {0:?}")]
pub struct PeriodError(String);

impl Period {
    /// The month that contains `time`.
    pub fn at(time: Timestamp) -> Self {
        let (year, month, ..) = time.civil();
        Self { year: u16::try_from(year).unwrap_or(u16::MAX), month: month as u8 }
    }

    /// The following month.
    pub fn next(self) -> Self {
        match self.month {
            12 => Self { year: self.year + 1, month: 1 },
            month => Self { year: self.year, month: month + 1 },
        }
    }

    /// The preceding month.
    pub fn previous(self) -> Self {
        match self.month {
            1 => Self { year: self.year - 1, month: 12 },
            month => Self { year: self.year, month: month - 1 },
        }
    }

    /// First instant of the month.
    pub fn start(self) -> Timestamp {
        let days = days_from_civil(i64::from(self.year), u32::from(self.month), 1);
        Timestamp::from_secs(u64::try_from(days).unwrap_or(0) * DAY.as_secs())
    }

    /// First instant after the month.
    pub fn end(self) -> Timestamp {
        self.next().start()
    }

    /// The month after that of `now`, from the day on which its update should be applied.
    pub fn wanted_early(now: Timestamp) -> Option<Self> {
        let (_, _, day, ..) = now.civil();
        (day >= NEXT_WANTED_FROM_DAY).then(|| Self::at(now).next())
    }

    /// What a certificate of this period is good for at `now`.
    pub fn standing(self, now: Timestamp) -> Standing {
        if now < self.start() {
            Standing::NotYet
        } else if now < self.end().plus(GRACE) {
            Standing::Valid
        } else if now < self.end().plus(UPDATE_ONLY) {
            Standing::UpdateOnly
        } else {
            Standing::Expired
        }
    }
}

/// What a certificate of some period is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its month has not begun.
    NotYet,
    /// Everything.
    Valid,
    /// Fetching key updates only.
    UpdateOnly,
    /// Nothing: the user must enrol again.
    Expired,
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl FromStr for Period {
    type Err = PeriodError;
    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let refuse = || PeriodError(text.chars().take(20).collect());
        let (year, month) = text.split_once('-').ok_or_else(refuse)?;
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if year.len() != 4 || month.len() != 2 || !digits(year) || !digits(month) {
            return Err(refuse());
        }
        let year: u16 = year.parse().map_err(|_| refuse())?;
        let month: u8 = month.parse().map_err(|_| refuse())?;
        if year < 2000 || !(1..=12).contains(&month) {
            return Err(refuse());
        }
        Ok(Self { year, month })
    }
}

impl TryFrom<String> for Period {
    type Error = PeriodError;
    fn try_from(text: String) -> Result<Self, PeriodError> {
        text.parse()
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(text: &str) -> Period {
        text.parse().unwrap()
    }

    #[test]
    fn months_follow_each_other_over_the_year_end() {
        assert_eq!(period("2026-12").next(), period("2027-01"));
        assert_eq!(period("2027-01").previous(), period("2026-12"));
        assert_eq!(period("2026-11").start().to_string(), "2026-11-01T00:00:00.000Z");
        assert_eq!(period("2024-02").end().to_string(), "2024-03-01T00:00:00.000Z");
        assert_eq!(Period::at(period("2026-11").end()), period("2026-12"));
    }

    #[test]
    fn standing_changes_exactly_at_its_boundaries() {
        let p = period("2026-11");
        let just_before = |t: Timestamp| t.minus(Duration::from_millis(1));
        assert_eq!(p.standing(just_before(p.start())), Standing::NotYet);
        assert_eq!(p.standing(p.start()), Standing::Valid);
        assert_eq!(p.standing(just_before(p.end().plus(GRACE))), Standing::Valid);
        assert_eq!(p.standing(p.end().plus(GRACE)), Standing::UpdateOnly);
        assert_eq!(p.standing(just_before(p.end().plus(UPDATE_ONLY))), Standing::UpdateOnly);
        assert_eq!(p.standing(p.end().plus(UPDATE_ONLY)), Standing::Expired);
    }

    #[test]
    fn malformed_months_are_refused() {
        for text in ["", "2026", "2026-13", "2026-00", "26-01", "2026-1", "1999-12", "+026-01"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }
}
