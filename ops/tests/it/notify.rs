//! The hook with real scripts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crs_ops::notify::{QUEUE_MAX, RUN_TIMEOUT};
use crs_ops::{Metrics, NotifyHook, SystemEvent};

fn script(dir: &Path, body: &str) -> PathBuf {
    let path = dir.join("notify.sh");
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn value(metrics: &Metrics, name: &str) -> u64 {
    let text = metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.map_or(0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn every_event_runs_the_script_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let path = script(dir.path(), &format!("echo \"$1 $2\" >> {}", out.display()));
    let metrics = Metrics::default();
    let (hook, notifier) = NotifyHook::start(path, &metrics);
    notifier.notify(SystemEvent::NodeUp);
    notifier.notify(SystemEvent::Other { unit: "peer/crs2".into(), event: "down".into() });
    hook.stop().await;
    assert_eq!(fs::read_to_string(out).unwrap(), "node up\npeer/crs2 down\n");
    assert_eq!(value(&metrics, "crs_notify_runs_total"), 2);
    assert_eq!(value(&metrics, "crs_notify_failures_total"), 0);
}

#[tokio::test]
async fn a_script_that_hangs_is_killed_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = script(dir.path(), "exec sleep 600");
    let metrics = Metrics::default();
    let (hook, notifier) = NotifyHook::start_with(path, Duration::from_millis(50), &metrics);
    notifier.notify(SystemEvent::DiskFull);
    hook.stop().await;
    assert_eq!(value(&metrics, "crs_notify_failures_total"), 1);
}

#[tokio::test]
async fn a_flood_of_events_is_cut_at_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let path = script(dir.path(), "exec sleep 600");
    let metrics = Metrics::default();
    let (hook, notifier) = NotifyHook::start_with(path, Duration::from_millis(1), &metrics);
    // The runner cannot take anything before this task yields.
    for _ in 0..QUEUE_MAX + 5 {
        notifier.notify(SystemEvent::RelayLimit);
    }
    assert_eq!(value(&metrics, "crs_notify_dropped_total"), 5);
    drop(hook);
}

/// Many scripts wait, each of which hangs: a stopping node leaves them.
#[tokio::test]
async fn stopping_does_not_wait_for_all_that_queues() {
    let dir = tempfile::tempdir().unwrap();
    let path = script(dir.path(), "exec sleep 600");
    let metrics = Metrics::default();
    let (hook, notifier) = NotifyHook::start_with(path, Duration::from_secs(60), &metrics);
    (0..50).for_each(|_| notifier.notify(SystemEvent::DiskLow));
    while value(&metrics, "crs_notify_runs_total") == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    hook.stop().await;
    assert!(began.elapsed() <= Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(value(&metrics, "crs_notify_runs_total"), 1);
}

#[tokio::test]
async fn a_script_may_take_ten_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let path = script(dir.path(), "exec sleep 600");
    let metrics = Metrics::default();
    let (hook, notifier) = NotifyHook::start(path, &metrics);
    notifier.notify(SystemEvent::DiskLow);
    while value(&metrics, "crs_notify_runs_total") == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    while value(&metrics, "crs_notify_failures_total") == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(began.elapsed() < Duration::from_secs(60), "never killed");
    }
    assert!(began.elapsed() >= RUN_TIMEOUT - Duration::from_secs(1), "{:?}", began.elapsed());
    hook.stop().await;
}
