//! Where the sessions of this node are found: by id, by user, by leg. A place is taken before its
//! actor runs, so that limits hold whoever asks at once; what is sent to it meanwhile waits in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crs_proto::session::{Refused, Summary};
use crs_types::{AccountId, LegId, SessionId, Uri};

use super::actor::{SESSION_QUEUE, SessionMsg};
use super::service::{PAIR_RINGING_MAX, USER_BEGUN_MAX, USER_RINGING_MAX, USER_SESSIONS_MAX};
use crate::handle::{CastError, Handle};

pub(super) type User = (AccountId, Uri);

/// The sessions of one node. Bounded by the limit given to [`SessionTable::reserve`].
#[derive(Debug, Default)]
pub struct SessionTable {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: BTreeMap<SessionId, Entry>,
    users: BTreeMap<User, BTreeSet<SessionId>>,
    legs: BTreeMap<LegId, SessionId>,
    open: usize,
}

#[derive(Debug)]
struct Entry {
    link: Link,
    caller: User,
    /// `None`: the invite's URI leads nowhere.
    callee: Option<User>,
    /// It has not ended.
    open: bool,
    summary: Option<Summary>,
    legs: Option<[LegId; 2]>,
}

/// How a session is reached.
#[derive(Debug)]
enum Link {
    /// Its actor is being started; this waits for it, in order.
    Starting(Vec<SessionMsg>),
    Running(Handle<SessionMsg>),
}

/// Why an invite gets no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// The id is a session's already.
    Taken,
    /// The caller has begun too many.
    Begun,
    /// The node has too many.
    Node,
}

/// A place for a session whose actor is being started. Dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Reserved {
    table: Arc<SessionTable>,
    /// `None` once the actor runs.
    id: Option<SessionId>,
    /// The session is one that ends at once, for this reason.
    pub(super) refused: Option<Refused>,
}

impl SessionTable {
    /// Takes a place for `caller`'s session with `callee`, within the limits of the users and of
    /// the node (`most`).
    pub(super) fn reserve(
        self: &Arc<Self>,
        id: SessionId,
        caller: User,
        callee: Option<User>,
        most: usize,
    ) -> Result<Reserved, NoPlace> {
        let mut inner = self.lock();
        if inner.sessions.contains_key(&id) {
            return Err(NoPlace::Taken);
        }
        if inner.begun_by(&caller) >= USER_BEGUN_MAX {
            return Err(NoPlace::Begun);
        }
        if inner.sessions.len() >= most {
            return Err(NoPlace::Node);
        }
        let refused = callee.as_ref().and_then(|callee| inner.refusal(&caller, callee));
        for user in std::iter::once(&caller).chain(&callee) {
            inner.users.entry(user.clone()).or_default().insert(id);
        }
        let open = refused.is_none();
        inner.open += usize::from(open);
        let link = Link::Starting(Vec::new());
        inner.sessions.insert(id, Entry { link, caller, callee, open, summary: None, legs: None });
        drop(inner);
        Ok(Reserved { table: Arc::clone(self), id: Some(id), refused })
    }

    /// Forgets a session; only its own actor calls this.
    pub(super) fn remove(&self, id: SessionId, actor: ractor::ActorId) {
        let mut inner = self.lock();
        let own = inner.sessions.get(&id).is_some_and(|entry| match &entry.link {
            Link::Starting(_) => false,
            Link::Running(handle) => handle.actor().get_id() == actor,
        });
        if own {
            inner.forget(id);
        }
    }

    pub(super) fn update(&self, summary: Summary) {
        let mut inner = self.lock();
        let Some(entry) = inner.sessions.get_mut(&summary.id) else { return };
        let (was, is) = (entry.open, summary.end.is_none());
        entry.open = is;
        entry.summary = Some(summary);
        inner.open = inner.open + usize::from(is) - usize::from(was);
    }

    pub(super) fn set_legs(&self, id: SessionId, legs: [LegId; 2]) {
        let mut inner = self.lock();
        let Some(entry) = inner.sessions.get_mut(&id) else { return };
        let older = entry.legs.replace(legs);
        for leg in older.into_iter().flatten() {
            inner.legs.remove(&leg);
        }
        inner.legs.extend(legs.map(|leg| (leg, id)));
    }

    /// Queues a message with a session, or behind its invite.
    pub(super) fn send(&self, id: SessionId, message: SessionMsg) -> Result<(), CastError> {
        self.lock().send(id, message)
    }

    /// The session that a leg belongs to.
    pub(super) fn of_leg(&self, leg: LegId) -> Option<SessionId> {
        self.lock().legs.get(&leg).copied()
    }

    /// All sessions of a user, ended ones while they are remembered.
    pub(super) fn of_user(&self, user: &User) -> Vec<SessionId> {
        self.lock().users.get(user).into_iter().flatten().copied().collect()
    }

    /// Those of a user's sessions that an attach or its end matters to: not ended, or named.
    pub(super) fn open_of_user(&self, user: &User, named: &[SessionId]) -> Vec<SessionId> {
        let inner = self.lock();
        let entries = inner.of(user);
        let wanted = entries.filter(|(id, entry)| entry.open || named.contains(id));
        wanted.map(|(id, _)| id).collect()
    }

    /// All sessions, ended ones while they are remembered, by id (which is by time).
    pub fn snapshot(&self) -> Vec<Summary> {
        self.lock().sessions.values().filter_map(|entry| entry.summary.clone()).collect()
    }

    /// Sessions that have not ended.
    pub fn open_count(&self) -> usize {
        self.lock().open
    }

    /// Every change is completed under the lock by code that does not panic.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn of(&self, user: &User) -> impl Iterator<Item = (SessionId, &Entry)> {
        let ids = self.users.get(user).into_iter().flatten();
        ids.filter_map(|id| Some((*id, self.sessions.get(id)?)))
    }

    /// Sessions that a user has begun, ended ones included while they are remembered.
    fn begun_by(&self, user: &User) -> usize {
        self.of(user).filter(|(_, entry)| entry.caller == *user).count()
    }

    /// Why a call between these two cannot be made now.
    fn refusal(&self, caller: &User, callee: &User) -> Option<Refused> {
        let glare = caller != callee && self.of(callee).any(|(_, entry)| entry.calls(caller));
        let own = |user: &User| self.of(user).filter(|(_, entry)| entry.occupies(user)).count();
        let busy = own(caller).max(own(callee)) >= USER_SESSIONS_MAX;
        if glare {
            Some(Refused::Glare)
        } else if busy || self.rings_too_often(caller, callee) {
            Some(Refused::UserSessions)
        } else {
            None
        }
    }

    /// What rings at a user is of others' choosing: it has places of its own, and no caller takes
    /// more than a part of them.
    fn rings_too_often(&self, caller: &User, callee: &User) -> bool {
        let ringing = || self.of(callee).filter(|(_, entry)| entry.calls(callee));
        let of_caller = ringing().filter(|(_, entry)| entry.caller == *caller).count();
        of_caller >= PAIR_RINGING_MAX || ringing().count() >= USER_RINGING_MAX
    }

    fn send(&mut self, id: SessionId, message: SessionMsg) -> Result<(), CastError> {
        match &mut self.sessions.get_mut(&id).ok_or(CastError::Gone)?.link {
            Link::Running(handle) => handle.try_cast(message),
            // The invite itself takes a place, too.
            Link::Starting(waiting) if waiting.len() + 1 >= SESSION_QUEUE as usize => {
                Err(CastError::Full)
            }
            Link::Starting(waiting) => {
                waiting.push(message);
                Ok(())
            }
        }
    }

    fn forget(&mut self, id: SessionId) {
        let Some(entry) = self.sessions.remove(&id) else { return };
        self.open -= usize::from(entry.open);
        for user in std::iter::once(&entry.caller).chain(&entry.callee) {
            if let Some(set) = self.users.get_mut(user) {
                set.remove(&id);
                if set.is_empty() {
                    self.users.remove(user);
                }
            }
        }
        for leg in entry.legs.into_iter().flatten() {
            self.legs.remove(&leg);
        }
    }
}

impl Entry {
    /// It is an unanswered invite to `user`.
    fn calls(&self, user: &User) -> bool {
        self.open && !self.answered() && self.callee.as_ref() == Some(user)
    }

    /// `user` has made or answered it, and it has not ended.
    fn occupies(&self, user: &User) -> bool {
        self.open && (self.caller == *user || self.answered())
    }

    fn answered(&self) -> bool {
        self.summary.as_ref().is_some_and(|summary| summary.talk_since.is_some())
    }
}

impl Reserved {
    /// The actor runs: it gets `start` first, then what waited.
    pub(super) fn run(mut self, handle: Handle<SessionMsg>, start: SessionMsg) {
        let Some(id) = self.id.take() else { return };
        let mut inner = self.table.lock();
        if handle.try_cast(start).is_err() {
            // It has ended already, so it will not come to forget its place.
            return inner.forget(id);
        }
        let Some(entry) = inner.sessions.get_mut(&id) else { return };
        let before = std::mem::replace(&mut entry.link, Link::Running(handle.clone()));
        let waiting = match before {
            Link::Starting(waiting) => waiting,
            Link::Running(_) => Vec::new(),
        };
        for message in waiting {
            // There is room for all; whoever asks an actor that has just ended hears that.
            let _ = handle.try_cast(message);
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.table.lock().forget(id);
        }
    }
}
