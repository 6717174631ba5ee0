//! Users who have no connection here but whose token buckets are not full again: whoever comes
//! back finds them as they were left.

use std::collections::{BTreeMap, BTreeSet};

use crs_proto::connection::UserBuckets;
use crs_types::Mono;

use super::crowd::User;

/// Users remembered for that; beyond it the one whose buckets are full first is forgotten, who
/// gains the least by it.
const DEPARTED_MAX: usize = 65_536;

/// The buckets of users without a connection. Forgets by itself whatever it need not remember.
#[derive(Debug, Default)]
pub(super) struct Departed {
    users: BTreeMap<User, UserBuckets>,
    /// The same users by the time at which their buckets are full.
    by_time: BTreeSet<(Mono, User)>,
}

impl Departed {
    /// The last connection of a user has gone.
    pub(super) fn keep(&mut self, user: User, buckets: UserBuckets, now: Mono) {
        let full_at = buckets.full_at();
        if full_at > now {
            self.by_time.insert((full_at, user.clone()));
            self.users.insert(user, buckets);
        }
        self.forget(now);
    }

    /// A user comes: the buckets as they were left, or full ones.
    pub(super) fn take(&mut self, user: &User, now: Mono) -> UserBuckets {
        self.forget(now);
        let Some(buckets) = self.users.remove(user) else { return UserBuckets::default() };
        self.by_time.remove(&(buckets.full_at(), user.clone()));
        buckets
    }

    fn forget(&mut self, now: Mono) {
        while let Some((full_at, _)) = self.by_time.first()
            && (*full_at <= now || self.by_time.len() > DEPARTED_MAX)
        {
            let Some((_, user)) = self.by_time.pop_first() else { return };
            self.users.remove(&user);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crs_proto::codec::Op;
    use crs_proto::connection::Rates;
    use crs_proto::wire::life::TimeRequest;
    use crs_types::{AccountId, Uri};

    use super::*;

    fn user(n: usize) -> User {
        let uri = format!("+46{:09}", n);
        (AccountId::parse("acme").unwrap(), Uri::parse(&uri).unwrap())
    }

    /// Buckets of which `tokens` are missing at `now`, 10 ms each.
    fn used(tokens: u32, now: Mono) -> UserBuckets {
        let mut buckets = UserBuckets::default();
        for _ in 0..tokens {
            buckets.take(&Rates::default(), &Op::Time(TimeRequest {}), now).unwrap();
        }
        buckets
    }

    #[test]
    fn buckets_are_kept_until_they_are_full() {
        let mut departed = Departed::default();
        let now = Mono::from_micros(1_000_000);
        let buckets = used(3, now);
        departed.keep(user(1), buckets, now);
        departed.keep(user(2), UserBuckets::default(), now);
        assert_eq!(departed.users.len(), 1, "full ones are not kept");
        assert_eq!(departed.take(&user(1), now), buckets);
        assert_eq!(departed.take(&user(1), now), UserBuckets::default(), "given out once");
        departed.keep(user(1), buckets, now);
        let full = now.plus(Duration::from_millis(30));
        assert_eq!(departed.take(&user(2), full), UserBuckets::default());
        assert!(departed.users.is_empty() && departed.by_time.is_empty(), "forgotten when full");
    }

    #[test]
    fn beyond_the_bound_the_nearest_to_full_is_forgotten() {
        let mut departed = Departed::default();
        let now = Mono::from_micros(1_000_000);
        departed.keep(user(0), used(2, now), now);
        (1..=DEPARTED_MAX).for_each(|n| departed.keep(user(n), used(3, now), now));
        assert_eq!((departed.users.len(), departed.by_time.len()), (DEPARTED_MAX, DEPARTED_MAX));
        assert_eq!(departed.take(&user(0), now), UserBuckets::default());
        assert_eq!(departed.take(&user(1), now), used(3, now));
    }
}
