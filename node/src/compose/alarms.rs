//! From what the parts report to readiness, log and system events.

use std::sync::Arc;

use crs_actors::relay::RelayAlarm;
use crs_ops::{NotReady, SystemEvent};
use crs_types::GroupId;

use super::Base;

/// What the relay calls when something happens to it.
pub(super) fn relay(base: Base) -> Arc<dyn Fn(RelayAlarm) + Send + Sync> {
    Arc::new(move |alarm| match alarm {
        RelayAlarm::Limit(text) => {
            tracing::warn!(module = "relay", "{text}");
            base.notifier.notify(SystemEvent::RelayLimit);
        }
        RelayAlarm::Down { thread } => {
            base.health.set(NotReady::RelayDown, format!("relay thread {thread} ended"));
            base.notifier.notify(SystemEvent::RelayDown);
        }
        RelayAlarm::Up => {
            base.health.clear(NotReady::RelayDown);
        }
    })
}

/// A group without a leader can confirm nothing. `leaderless` is what was told last.
pub(super) fn leader(base: &Base, group: Option<GroupId>, leaderless: &mut bool) {
    match group {
        Some(group) => {
            base.health.set(NotReady::NoLeader, format!("group {group} has no leader"));
            if !std::mem::replace(leaderless, true) {
                tracing::warn!(module = "raft", "group {group} has no leader");
                base.notifier.notify(SystemEvent::RaftNoQuorum);
            }
        }
        None => {
            base.health.clear(NotReady::NoLeader);
            if std::mem::replace(leaderless, false) {
                tracing::info!(module = "raft", "every group has a leader");
                base.notifier.notify(SystemEvent::RaftLeader);
            }
        }
    }
}

/// Posts are refused while the disk is full.
pub(super) fn disk(base: &Base, full: bool) {
    if !full {
        base.health.clear(NotReady::DiskFull);
        return;
    }
    if base.health.set(NotReady::DiskFull, "too little free space: posts are refused") {
        tracing::warn!(module = "storage", "too little free space: posts are refused");
        base.notifier.notify(SystemEvent::DiskFull);
    }
}

#[cfg(test)]
mod tests {
    use crs_ops::{Health, Metrics, Notifier};
    use crs_types::SystemClock;

    use super::*;

    fn base() -> Base {
        let base = Base {
            clock: Arc::new(SystemClock::new()),
            metrics: Metrics::default(),
            health: Health::starting(),
            notifier: Notifier::disconnected(),
        };
        base.health.clear(NotReady::Starting);
        base
    }

    #[test]
    fn readiness_follows_leader_disk_and_relay() {
        let base = base();
        let mut leaderless = false;
        leader(&base, Some(GroupId(2)), &mut leaderless);
        assert!(leaderless && base.health.is(NotReady::NoLeader));
        leader(&base, None, &mut leaderless);
        assert!(!leaderless && base.health.report().ready);

        disk(&base, true);
        assert!(base.health.is(NotReady::DiskFull));
        disk(&base, false);
        assert!(base.health.report().ready);

        let alarm = relay(base.clone());
        alarm(RelayAlarm::Down { thread: 0 });
        assert!(base.health.is(NotReady::RelayDown));
        alarm(RelayAlarm::Up);
        assert!(base.health.report().ready);
    }
}
