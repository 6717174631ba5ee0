//! Which accounts lack an update file that they should have.

use std::collections::BTreeSet;
use std::fmt;

use crs_types::{AccountId, Period, Timestamp};

/// An account without the update of a month in which it needs it, or soon will.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MissingUpdate {
    /// The account.
    pub account: AccountId,
    /// The month.
    pub period: Period,
}

/// Tells of each account and month once, and again only when the update was there in between.
#[derive(Debug, Default)]
pub struct UpdateWatch {
    told: BTreeSet<MissingUpdate>,
}

impl UpdateWatch {
    /// Takes every loaded account with the question whether it has a month's update. The present
    /// month's is missed at once, the next one's from day
    /// [`crs_types::period::NEXT_WANTED_FROM_DAY`] on. Returns what has not been told yet.
    pub fn look<'a, H: Fn(Period) -> bool>(
        &mut self,
        now: Timestamp,
        accounts: impl Iterator<Item = (&'a AccountId, H)>,
    ) -> Vec<MissingUpdate> {
        let wanted: Vec<Period> =
            [Some(Period::at(now)), Period::wanted_early(now)].into_iter().flatten().collect();
        let mut missing = BTreeSet::new();
        for (account, has) in accounts {
            for period in wanted.iter().copied().filter(|period| !has(*period)) {
                missing.insert(MissingUpdate { account: account.clone(), period });
            }
        }
        let new = missing.difference(&self.told).cloned().collect();
        self.told = missing;
        new
    }
}

impl fmt::Display for MissingUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, period } = self;
        write!(f, "account {account} has no update for {period}: crs-cli apply {period}.upd")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, day: u64) -> Timestamp {
        let month: Period = text.parse().unwrap();
        month.start().plus(std::time::Duration::from_secs((day - 1) * 86_400 + 60))
    }

    struct Pool(Vec<(AccountId, Vec<Period>)>);

    impl Pool {
        fn put(&mut self, account: &str, months: &[&str]) {
            let id = AccountId::parse(account).unwrap();
            self.0.retain(|(known, _)| *known != id);
            self.0.push((id, months.iter().map(|month| month.parse().unwrap()).collect()));
        }

        fn look(&self, watch: &mut UpdateWatch, now: Timestamp) -> Vec<String> {
            let accounts = self.0.iter();
            let accounts =
                accounts.map(|(id, months)| (id, move |period| months.contains(&period)));
            let told = watch.look(now, accounts);
            told.iter().map(|m| format!("{} {}", m.account, m.period)).collect()
        }
    }

    #[test]
    fn this_month_is_missed_at_once_the_next_from_day_21_each_once() {
        let (mut watch, mut pool) = (UpdateWatch::default(), Pool(Vec::new()));
        assert!(pool.look(&mut watch, at("2026-11", 1)).is_empty());
        pool.put("acme", &["2026-11"]);
        assert!(pool.look(&mut watch, at("2026-11", 20)).is_empty());
        assert_eq!(pool.look(&mut watch, at("2026-11", 21)), ["acme 2026-12"]);
        assert!(pool.look(&mut watch, at("2026-11", 30)).is_empty(), "told already");
        assert!(pool.look(&mut watch, at("2026-12", 1)).is_empty(), "it is the same month");
        assert_eq!(pool.look(&mut watch, at("2026-12", 21)), ["acme 2027-01"]);
    }

    #[test]
    fn an_account_that_comes_without_updates_is_told_when_it_is_loaded() {
        let (mut watch, mut pool) = (UpdateWatch::default(), Pool(Vec::new()));
        pool.put("acme", &[]);
        assert_eq!(pool.look(&mut watch, at("2026-11", 25)), ["acme 2026-11", "acme 2026-12"]);
        pool.put("brick", &["2026-12"]);
        assert_eq!(pool.look(&mut watch, at("2026-11", 25)), ["brick 2026-11"]);
    }

    #[test]
    fn an_update_that_came_and_went_is_missed_again() {
        let (mut watch, mut pool) = (UpdateWatch::default(), Pool(Vec::new()));
        let now = at("2026-11", 2);
        pool.put("acme", &[]);
        assert_eq!(pool.look(&mut watch, now).len(), 1);
        pool.put("acme", &["2026-11"]);
        assert!(pool.look(&mut watch, now).is_empty());
        pool.put("acme", &[]);
        assert_eq!(pool.look(&mut watch, now).len(), 1);
    }
}
