//! Where the sessions of this node are found: by id, by user, by leg.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crs_proto::session::Summary;
use crs_types::{AccountId, SessionId, Uri};

use super::SessionMsg;
use crate::handle::Handle;

type User = (AccountId, Uri);

/// The sessions of one node. Bounded by the population of their supervisor.
#[derive(Debug, Default)]
pub struct SessionTable {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: BTreeMap<SessionId, Entry>,
    users: BTreeMap<User, BTreeSet<SessionId>>,
    legs: BTreeMap<u64, SessionId>,
}

#[derive(Debug)]
struct Entry {
    handle: Handle<SessionMsg>,
    /// The caller first.
    users: Vec<User>,
    summary: Option<Summary>,
}

impl SessionTable {
    /// Adds a session of these users. Gives back the handle of the session that has the id
    /// already.
    pub(super) fn insert(
        &self,
        id: SessionId,
        handle: Handle<SessionMsg>,
        users: Vec<User>,
    ) -> Result<(), Handle<SessionMsg>> {
        let mut inner = self.lock();
        if let Some(entry) = inner.sessions.get(&id) {
            return Err(entry.handle.clone());
        }
        for user in &users {
            inner.users.entry(user.clone()).or_default().insert(id);
        }
        inner.sessions.insert(id, Entry { handle, users, summary: None });
        Ok(())
    }

    /// Forgets a session; only its own actor calls this. An actor that lost the race for the id
    /// forgets nothing.
    pub(super) fn remove(&self, id: SessionId, actor: ractor::ActorId) {
        let mut inner = self.lock();
        if inner.sessions.get(&id).is_none_or(|e| e.handle.actor().get_id() != actor) {
            return;
        }
        let Some(entry) = inner.sessions.remove(&id) else { return };
        for user in &entry.users {
            if let Some(set) = inner.users.get_mut(user) {
                set.remove(&id);
                if set.is_empty() {
                    inner.users.remove(user);
                }
            }
        }
        inner.legs.retain(|_, session| *session != id);
    }

    pub(super) fn update(&self, summary: Summary) {
        if let Some(entry) = self.lock().sessions.get_mut(&summary.id) {
            entry.summary = Some(summary);
        }
    }

    pub(super) fn set_legs(&self, id: SessionId, legs: [u64; 2]) {
        let mut inner = self.lock();
        inner.legs.retain(|_, session| *session != id);
        for leg in legs {
            inner.legs.insert(leg, id);
        }
    }

    pub(super) fn find(&self, id: SessionId) -> Option<Handle<SessionMsg>> {
        self.lock().sessions.get(&id).map(|entry| entry.handle.clone())
    }

    pub(super) fn find_leg(&self, leg: u64) -> Option<Handle<SessionMsg>> {
        let inner = self.lock();
        let id = inner.legs.get(&leg)?;
        inner.sessions.get(id).map(|entry| entry.handle.clone())
    }

    pub(super) fn of_user(&self, user: &User) -> Vec<(SessionId, Handle<SessionMsg>)> {
        let inner = self.lock();
        let ids = inner.users.get(user).into_iter().flatten();
        ids.filter_map(|id| Some((*id, inner.sessions.get(id)?.handle.clone()))).collect()
    }

    /// Those of a user's sessions that an attach or its end matters to: not ended, or named.
    pub(super) fn open_of_user(
        &self,
        user: &User,
        named: &[SessionId],
    ) -> Vec<(SessionId, Handle<SessionMsg>)> {
        let inner = self.lock();
        let ids = inner.users.get(user).into_iter().flatten();
        let entries = ids.filter_map(|id| Some((id, inner.sessions.get(id)?)));
        let wanted = entries.filter(|(id, entry)| entry.is_open() || named.contains(id));
        wanted.map(|(id, entry)| (*id, entry.handle.clone())).collect()
    }

    /// Sessions that a user has begun, ended ones included while they are remembered.
    pub(super) fn begun_by(&self, user: &User) -> usize {
        let inner = self.lock();
        let ids = inner.users.get(user).into_iter().flatten();
        let entries = ids.filter_map(|id| inner.sessions.get(id));
        entries.filter(|entry| entry.users.first() == Some(user)).count()
    }

    /// Sessions of a user that have not ended, and whether one of them is an unanswered invite to
    /// `other`.
    pub(super) fn load_of(&self, user: &User, other: &User) -> (usize, bool) {
        let inner = self.lock();
        let ids = inner.users.get(user).into_iter().flatten();
        let open = ids.filter_map(|id| inner.sessions.get(id)).filter(|entry| entry.is_open());
        let calls_other = |s: &Summary| {
            (&s.parties.caller_account, &s.parties.caller) == (&user.0, &user.1)
                && s.parties.callee_account.as_ref() == Some(&other.0)
                && s.parties.callee == other.1
                && s.talk_since.is_none()
        };
        open.fold((0, false), |(n, glare), entry| {
            (n + 1, glare || entry.summary.as_ref().is_some_and(calls_other))
        })
    }

    /// All sessions, ended ones while they are remembered, by id (which is by time).
    pub fn snapshot(&self) -> Vec<Summary> {
        self.lock().sessions.values().filter_map(|entry| entry.summary.clone()).collect()
    }

    /// Sessions now, ended ones while they are remembered.
    pub fn count(&self) -> usize {
        self.lock().sessions.len()
    }

    /// Every change is completed under the lock by code that does not panic.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Also while it starts and has no summary yet.
    fn is_open(&self) -> bool {
        self.summary.as_ref().is_none_or(|summary| summary.end.is_none())
    }
}
