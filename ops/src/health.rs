//! Whether a node should be sent traffic, and if not, why: the state behind `/ready` and `/live`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// A reason why a node is not ready. Several may hold at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotReady {
    /// Not everything has been started.
    Starting,
    /// SIGTERM or a drain command: new attaches are refused.
    Draining,
    /// Some Raft group has no leader, so nothing can be made durable.
    NoLeader,
    /// The reserve is in use: reads and deletions work, posts are refused.
    DiskFull,
    /// The store failed; the node is about to stop.
    StoreFailed,
    /// The media relay does not forward.
    RelayDown,
}

/// Shared readiness of one node; cheap to clone. Starts not ready ([`NotReady::Starting`]).
#[derive(Debug, Clone)]
pub struct Health {
    reasons: Arc<Mutex<BTreeMap<NotReady, String>>>,
}

/// What `/ready` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadyReport {
    /// True when nothing stands against sending traffic here.
    pub ready: bool,
    /// What does.
    pub reasons: Vec<ReadyReason>,
}

/// One entry of [`ReadyReport`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadyReason {
    /// Which condition.
    pub code: NotReady,
    /// A sentence for a person.
    pub text: String,
}

impl Health {
    /// Not ready, because starting.
    pub fn starting() -> Self {
        let reasons = BTreeMap::from([(NotReady::Starting, "the node is starting".to_owned())]);
        Self { reasons: Arc::new(Mutex::new(reasons)) }
    }

    /// Sets a condition with a sentence that explains it. Returns true when it is new.
    pub fn set(&self, reason: NotReady, text: impl Into<String>) -> bool {
        self.lock().insert(reason, text.into()).is_none()
    }

    /// Clears a condition. Returns true when it was set.
    pub fn clear(&self, reason: NotReady) -> bool {
        self.lock().remove(&reason).is_some()
    }

    /// True when a condition is set.
    pub fn is(&self, reason: NotReady) -> bool {
        self.lock().contains_key(&reason)
    }

    /// The answer of `/ready`.
    pub fn report(&self) -> ReadyReport {
        let reasons: Vec<ReadyReason> = self
            .lock()
            .iter()
            .map(|(code, text)| ReadyReason { code: *code, text: text.clone() })
            .collect();
        ReadyReport { ready: reasons.is_empty(), reasons }
    }

    /// The answer of `/live`: false only when a restart is the cure.
    pub fn live(&self) -> bool {
        !self.is(NotReady::StoreFailed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<NotReady, String>> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_only_when_no_reason_stands() {
        let health = Health::starting();
        assert!(!health.report().ready);
        assert!(health.set(NotReady::NoLeader, "group 0 has no leader"));
        assert!(!health.set(NotReady::NoLeader, "group 1 has no leader"));
        assert!(health.clear(NotReady::Starting));
        assert_eq!(
            health.report().reasons,
            [ReadyReason { code: NotReady::NoLeader, text: "group 1 has no leader".into() }]
        );
        assert!(health.clear(NotReady::NoLeader));
        assert!(health.report().ready);
    }

    #[test]
    fn a_failed_store_is_not_live() {
        let health = Health::starting();
        assert!(health.live());
        health.set(NotReady::StoreFailed, "fdatasync failed");
        assert!(!health.live());
    }
}
