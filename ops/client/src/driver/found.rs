//! Users whose keys were looked up, kept in memory for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use crs_proto::wire::lookup::Found;
use crs_types::{Mono, Uri};

/// How long a user's keys are taken from memory.
const FRESH: Duration = Duration::from_secs(600);
/// Users whose keys are kept in memory.
const FOUND_MAX: usize = 1024;

/// The memory.
#[derive(Debug, Default)]
pub(super) struct FoundUsers {
    users: BTreeMap<Uri, (Mono, Found)>,
}

impl FoundUsers {
    /// Keeps an answer; the oldest one gives way.
    pub(super) fn remember(&mut self, uri: &Uri, found: Found, now: Mono) {
        if self.users.len() >= FOUND_MAX && !self.users.contains_key(uri) {
            let oldest = self.users.iter().min_by_key(|(_, (at, _))| *at).map(|(u, _)| u.clone());
            oldest.map(|uri| self.users.remove(&uri));
        }
        self.users.insert(uri.clone(), (now, found));
    }

    /// An answer that is not old.
    pub(super) fn fresh(&self, uri: &Uri, now: Mono) -> Option<&Found> {
        let (_, found) = self.users.get(uri).filter(|(at, _)| now.since(*at) < FRESH)?;
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use crs_types::AccountId;

    use super::*;

    fn found(uri: &Uri) -> Found {
        let account = AccountId::parse("acme").unwrap();
        Found { uri: uri.clone(), account, attached: true, keys: Vec::new() }
    }

    fn user(n: usize) -> Uri {
        Uri::parse(&format!("+4670000{n:04}")).unwrap()
    }

    #[test]
    fn the_oldest_of_too_many_users_is_looked_up_anew() {
        let mut memory = FoundUsers::default();
        let at = |n: usize| Mono::from_micros(1 + n as u64);
        // The first users are the newest ones, so that age decides and not the number.
        for n in 0..FOUND_MAX {
            memory.remember(&user(n), found(&user(n)), at(FOUND_MAX - n));
        }
        let now = at(FOUND_MAX + 1);
        let oldest = user(FOUND_MAX - 1);
        assert!(memory.fresh(&oldest, now).is_some());
        memory.remember(&user(0), found(&user(0)), now);
        assert!(memory.fresh(&oldest, now).is_some(), "a known user takes no further place");
        memory.remember(&user(FOUND_MAX), found(&user(FOUND_MAX)), now);
        assert_eq!(memory.users.len(), FOUND_MAX);
        assert!(memory.fresh(&oldest, now).is_none());
        assert!(memory.fresh(&user(FOUND_MAX), now).is_some());
    }

    #[test]
    fn keys_are_taken_from_memory_for_ten_minutes() {
        let mut memory = FoundUsers::default();
        let then = Mono::from_micros(1);
        memory.remember(&user(1), found(&user(1)), then);
        assert!(memory.fresh(&user(1), then.plus(FRESH - Duration::from_millis(1))).is_some());
        assert!(memory.fresh(&user(1), then.plus(FRESH)).is_none());
        assert!(memory.fresh(&user(2), then).is_none());
    }
}
