//! From what the parts report to readiness, log and system events.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crs_actors::relay::RelayAlarm;
use crs_ops::{NotReady, SystemEvent};
use crs_storage::store::StoreStatus;
use crs_types::{GroupId, Mono};

use super::Base;

/// A limit of the relay is an event once in this time, however many calls it refuses: a rush of
/// calls must not push other events out of the queue. The log counts repeats by itself.
const LIMIT_EVERY: Duration = Duration::from_secs(60);

/// What the relay calls when something happens to it.
pub(super) fn relay(base: Base) -> Arc<dyn Fn(RelayAlarm) + Send + Sync> {
    let told = Mutex::new(None::<Mono>);
    Arc::new(move |alarm| match alarm {
        RelayAlarm::Limit(text) => {
            tracing::warn!(module = "relay", "{text}");
            let now = base.clock.mono();
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.is_none_or(|last| now.since(last) >= LIMIT_EVERY) {
                *told = Some(now);
                base.notifier.notify(SystemEvent::RelayLimit);
            }
        }
        RelayAlarm::Down { thread } => {
            tracing::warn!(module = "relay", "relay thread {thread} ended");
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

/// What was told of the disk last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Disk {
    /// There is room.
    #[default]
    Roomy,
    /// Less than twice what must be free.
    Low,
    /// Posts are refused.
    Full,
}

/// Tells of changes in how much room the disk has.
pub(super) fn disk(base: &Base, status: &StoreStatus, min_free: u64, told: &mut Disk) {
    let now = if status.disk_full {
        Disk::Full
    } else if status.free_bytes < min_free.saturating_mul(2) {
        Disk::Low
    } else {
        Disk::Roomy
    };
    if std::mem::replace(told, now) == now {
        return;
    }
    let free = status.free_bytes >> 20;
    match now {
        Disk::Roomy => tracing::info!(module = "storage", "{free} MiB are free again"),
        Disk::Low => {
            tracing::warn!(module = "storage", "only {free} MiB are free");
            base.notifier.notify(SystemEvent::DiskLow);
        }
        Disk::Full => {
            tracing::warn!(module = "storage", "{free} MiB are free: posts are refused");
            base.notifier.notify(SystemEvent::DiskFull);
        }
    }
    if now == Disk::Full {
        base.health.set(NotReady::DiskFull, format!("{free} MiB are free: posts are refused"));
    } else {
        base.health.clear(NotReady::DiskFull);
    }
}

#[cfg(test)]
mod tests {
    use crs_ops::{Health, Metrics, Notifier};
    use crs_types::SystemClock;
    use tokio::sync::mpsc::Receiver;

    use super::*;

    fn base() -> (Base, Receiver<SystemEvent>) {
        let (notifier, events) = Notifier::channel();
        let base = Base {
            clock: Arc::new(SystemClock::new()),
            metrics: Metrics::default(),
            health: Health::starting(),
            notifier,
        };
        base.health.clear(NotReady::Starting);
        (base, events)
    }

    fn told(events: &mut Receiver<SystemEvent>) -> Vec<SystemEvent> {
        std::iter::from_fn(|| events.try_recv().ok()).collect()
    }

    #[test]
    fn a_group_without_a_leader_is_told_once_and_when_it_has_one() {
        let (base, mut events) = base();
        let mut leaderless = false;
        for _ in 0..2 {
            leader(&base, Some(GroupId(2)), &mut leaderless);
            assert!(base.health.is(NotReady::NoLeader));
        }
        assert_eq!(told(&mut events), [SystemEvent::RaftNoQuorum]);
        for _ in 0..2 {
            leader(&base, None, &mut leaderless);
            assert!(base.health.report().ready);
        }
        assert_eq!(told(&mut events), [SystemEvent::RaftLeader]);
    }

    #[test]
    fn each_step_of_a_filling_disk_is_told_once() {
        let (base, mut events) = base();
        let mut told_last = Disk::default();
        let status = |free_bytes, disk_full| StoreStatus {
            groups: Vec::new(),
            log_bytes: 0,
            table_bytes: 0,
            body_bytes: 0,
            free_bytes,
            disk_full,
            last_sync: None,
            syncs: 0,
            last_sync_micros: 0,
            torn_tails: 0,
            rebuilds: 0,
        };
        for _ in 0..2 {
            disk(&base, &status(150, false), 100, &mut told_last);
            assert!(base.health.report().ready);
        }
        assert_eq!(told(&mut events), [SystemEvent::DiskLow]);
        for _ in 0..2 {
            disk(&base, &status(50, true), 100, &mut told_last);
            assert!(base.health.is(NotReady::DiskFull));
        }
        assert_eq!(told(&mut events), [SystemEvent::DiskFull]);
        disk(&base, &status(500, false), 100, &mut told_last);
        assert!(base.health.report().ready && told(&mut events).is_empty());
    }

    #[test]
    fn what_happens_to_the_relay_is_told_and_reaches_readiness() {
        let (base, mut events) = base();
        let alarm = relay(base.clone());
        for _ in 0..3 {
            alarm(RelayAlarm::Limit("no more".into()));
        }
        assert!(base.health.report().ready);
        alarm(RelayAlarm::Down { thread: 0 });
        assert!(base.health.is(NotReady::RelayDown));
        alarm(RelayAlarm::Up);
        assert!(base.health.report().ready);
        assert_eq!(told(&mut events), [SystemEvent::RelayLimit, SystemEvent::RelayDown]);
    }
}
