//! A node from its first start to its last: ready, reload, stop, start again.

use nix::sys::signal::Signal;

use crate::program::{Running, node, run};

#[test]
fn a_node_starts_from_nothing_reloads_and_stops_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let node = Running::start(dir.path());
    let created = node.ready["created"].as_array().unwrap();
    assert!(
        created.iter().any(|path| path.as_str().unwrap().ends_with("pool/data")),
        "{created:?}"
    );
    assert_eq!(node.get("/ready"), (200, r#"{"ready":true,"reasons":[]}"#.to_owned()));
    let pem = std::fs::read_to_string(node.ready["pool_ca"].as_str().unwrap()).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"));

    let local = dir.path().join("pool/crs-local.conf");
    let before = std::fs::read_to_string(&local).unwrap();
    std::fs::write(&local, format!("{before}log-level loud\n")).unwrap();
    node.signal(Signal::SIGHUP);
    node.wait_for_metric("crs_config_reloads_total{result=\"refused\"} 1");
    node.wait_for_metric("crs_config_last_reload_successful 0");
    std::fs::write(&local, format!("{before}log-level debug\n")).unwrap();
    node.signal(Signal::SIGHUP);
    node.wait_for_metric("crs_config_reloads_total{result=\"applied\"} 1");
    node.wait_for_metric("crs_config_last_reload_successful 1");
    std::fs::write(&local, format!("{before}log-level debug\nworker-threads 3\nlog-files 3\n"))
        .unwrap();
    node.signal(Signal::SIGHUP);
    node.wait_for_metric("crs_config_reloads_total{result=\"applied\"} 2");

    node.signal(Signal::SIGTERM);
    assert_eq!(node.wait(), Some(0));
    let log = std::fs::read_to_string(dir.path().join("pool/log/crs.log")).unwrap();
    for part in [
        "| INIT | node(",
        "created ",
        "log-level: expected debug, info or warn",
        "changed, but taken at the next start only: worker-threads, log-files",
        "] stopped",
    ] {
        assert!(log.contains(part), "{part:?} not in\n{log}");
    }
}

#[test]
fn a_second_start_finds_the_first_ones_identity_and_ports() {
    let dir = tempfile::tempdir().unwrap();
    let first = Running::start(dir.path());
    let pool_ca = std::fs::read(first.ready["pool_ca"].as_str().unwrap()).unwrap();
    let client = first.ready["client"].clone();

    let busy = ["--config", "pool/crs.conf"];
    let (code, _, error) = run(node(dir.path()).args(busy));
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("in use by another node"), "{error}");
    let (code, out, _) = run(node(dir.path()).args(["check", "--config", "pool/crs.conf"]));
    assert_eq!(code, 0, "check works beside a running node: {out}");

    first.signal(Signal::SIGKILL);
    assert_eq!(first.wait(), None);
    let local = dir.path().join("pool/crs-local.conf");
    let text = std::fs::read_to_string(&local).unwrap();
    std::fs::write(&local, format!("{text}db-backup replicate-from-peer\n")).unwrap();
    let second = Running::start(dir.path());
    assert_eq!(second.ready["client"], client);
    assert!(second.ready["created"].as_array().unwrap().is_empty());
    assert_eq!(std::fs::read(second.ready["pool_ca"].as_str().unwrap()).unwrap(), pool_ca);
    second.signal(Signal::SIGTERM);
    assert_eq!(second.wait(), Some(0));
    let log = std::fs::read_to_string(dir.path().join("pool/log/crs.log")).unwrap();
    let told = "warning: db-backup: is kept, but replicates nothing yet";
    assert!(log.contains(told), "what has no effect is told at the start:\n{log}");
}

#[test]
fn another_key_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let first = Running::start(dir.path());
    first.signal(Signal::SIGTERM);
    assert_eq!(first.wait(), Some(0));
    let conf = dir.path().join("pool/crs.conf");
    let text = std::fs::read_to_string(&conf).unwrap();
    let other = format!("key {} 256bit", crate::program::KEY);
    let changed: Vec<&str> = text
        .lines()
        .map(|line| if line.starts_with("key ") { other.as_str() } else { line })
        .collect();
    std::fs::write(&conf, changed.join("\n")).unwrap();
    let (code, _, error) = run(node(dir.path()).args(["--config", "pool/crs.conf"]));
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("add the former key as second key"), "{error}");
}
