//! The log files as an operator sees them.

use std::fs;
use std::sync::Arc;

use crs_types::{Secret, SystemClock};

use super::*;

fn with_log(level: LogLevel, body: impl FnOnce(&Logging)) -> (String, String, Metrics) {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Metrics::default();
    let config = LogConfig { level, ..LogConfig::in_dir(dir.path()) };
    let logging = Logging::start(&config, Arc::new(SystemClock::new()), &metrics).unwrap();
    tracing::dispatcher::with_default(&logging.dispatch(), || body(&logging));
    drop(logging);
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    (read("crs.log"), read("crs_relay.log"), metrics)
}

#[test]
fn lines_have_the_manuals_layout() {
    let (main, relay, _) = with_log(LogLevel::Info, |_| {
        tracing::info!(target: "crs_actors::session::shell", count = 2, "ended");
        tracing::info!(target: INIT, module = "node", "started");
        tracing::warn!(target: "openraft::core", "heartbeat late");
        tracing::info!(target: "openraft::core", "chatter");
        tracing::debug!(target: "crs_storage", "detail");
        relay_log(RelayLogLine::CommandAdd, &"allocation 7");
    });
    let pid = std::process::id();
    let rests: Vec<&str> =
        main.lines().filter_map(|l| l.split_once("Z | ").map(|(_, r)| r)).collect();
    assert_eq!(
        rests,
        [
            format!("INFO | session({pid})] ended count=2"),
            format!("INIT | node({pid})] started"),
            format!("WARN | openraft({pid})] heartbeat late"),
        ]
    );
    assert!(main.lines().all(|l| l.starts_with("[20")), "{main}");
    assert!(
        relay.ends_with(&format!("Z | INFO | relay({pid})] Command add allocation 7\n")),
        "{relay}"
    );
}

/// Keeps what it is shown while it wants it.
#[derive(Default)]
struct Tap {
    wants: std::sync::atomic::AtomicBool,
    seen: std::sync::Mutex<Vec<String>>,
}

impl LogTap for Tap {
    fn enabled(&self) -> bool {
        self.wants.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn record(&self, _: crs_types::Timestamp, module: &str, information: &str) {
        self.seen.lock().unwrap().push(format!("{module}: {information}"));
    }
}

#[test]
fn a_tap_sees_the_records_of_crs_log_while_it_wants_them() {
    let tap = Arc::new(Tap::default());
    with_log(LogLevel::Info, |logging| {
        assert!(logging.control().follow(Arc::clone(&tap) as _));
        assert!(!logging.control().follow(Arc::clone(&tap) as _), "there is one only");
        tracing::info!(module = "node", "unwanted");
        tap.wants.store(true, std::sync::atomic::Ordering::Relaxed);
        tracing::info!(module = "node", count = 2, "wanted");
        tracing::debug!(module = "node", "below the level");
        relay_log(RelayLogLine::CommandPoll, &"node");
    });
    assert_eq!(*tap.seen.lock().unwrap(), ["node: wanted count=2"]);
}

#[test]
fn the_level_changes_live() {
    let (main, _, _) = with_log(LogLevel::Warn, |logging| {
        tracing::info!(target: "crs_node", "unseen");
        assert!(logging.control().set_level(LogLevel::Debug));
        tracing::debug!(target: "crs_node", "seen");
    });
    assert!(!main.contains("unseen") && main.contains("seen"), "{main}");
}

#[test]
fn audit_lines_are_written_at_every_level() {
    let (log, ..) = with_log(LogLevel::Warn, |_| {
        tracing::info!(target: AUDIT, module = "audit", "uid 0: delete account police: done");
        tracing::info!(target: "crs_actors", "only for INFO");
    });
    assert!(log.contains("audit(") && log.contains("delete account police"), "{log}");
    assert!(!log.contains("only for INFO"), "{log}");
}

#[test]
fn a_repeated_warning_is_written_once() {
    let (main, _, _) = with_log(LogLevel::Info, |_| {
        for _ in 0..100 {
            tracing::warn!(target: "crs_storage", "no space left");
        }
    });
    assert_eq!(main.matches("no space left").count(), 1, "{main}");
}

#[test]
fn secrets_do_not_reach_the_log_at_any_level() {
    let canary = b"canary-3c4f1d90aa";
    let secret = Secret::new(canary.to_vec());
    let base64 = secret.to_base64();
    let (main, relay, _) = with_log(LogLevel::Debug, |_| {
        tracing::debug!(target: "crs_node", ?secret, "loaded");
        tracing::warn!(target: "crs_node", key = ?secret, "refused");
    });
    for text in [main, relay] {
        assert!(!text.contains("canary-3c4f1d90aa") && !text.contains(base64.as_str()), "{text}");
    }
}

#[test]
fn levels_parse() {
    assert_eq!("WARN".parse(), Ok(LogLevel::Warn));
    assert!("loud".parse::<LogLevel>().is_err());
}

#[test]
fn a_long_record_is_cut_and_marked() {
    let (main, _, _) = with_log(LogLevel::Info, |_| {
        tracing::info!(target: "crs_node", "{}", "\u{e5}".repeat(line::INFORMATION_MAX));
    });
    let text = main.trim_end().split_once("] ").unwrap().1;
    let kept = text.strip_suffix(" \u{2026}").unwrap();
    assert_eq!(kept.len(), line::INFORMATION_MAX);
}
