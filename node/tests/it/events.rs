//! System events of a real node: what each runs the notification script with, what `crs.log` and
//! `doctor` say. Those that a test cannot bring about here are in `compose/alarms.rs` (leader,
//! full disk, relay down), `compose/watching.rs` (clock) and the applied update in the actors.

use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crs_admin_api::command::{create_account, doctor, health_check};
use crs_admin_api::{Reply, Request};
use crs_keys::account_ca::{AccountCa, Validity};
use crs_keys::identity::UserIdentity;
use crs_keys::p256::SigningKey;
use crs_types::rng::SeededRng;
use crs_types::{AccountId, Clock, Generation, Period, SystemClock, Timestamp, Uri};
use nix::sys::signal::Signal;

use crate::program::Running;

const DAY: u64 = 86_400;

/// A certificate that ends in 20 days. Whom it is for does not matter here.
fn write_certificate(folder: &Path, now: Timestamp) {
    let mut rng = SeededRng::new(7);
    let account = AccountId::parse("police").unwrap();
    let ca = AccountCa::generate(account.clone(), &mut rng, now).unwrap();
    let key = SigningKey::generate(&mut rng);
    let identity = UserIdentity {
        account,
        uri: Uri::parse("+46700000001").unwrap(),
        period: Period::at(now),
        generation: Generation(1),
    };
    let to = now.plus(Duration::from_secs(20 * DAY + DAY / 2));
    let validity = Validity { from: now.minus(Duration::from_secs(DAY)), to };
    let certificate = ca.issue_user(&identity, &key, validity, &mut rng).unwrap();
    let pem = |label: &str, der: &[u8]| {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    };
    fs::write(folder.join("chain.pem"), pem("CERTIFICATE", &certificate)).unwrap();
    let key = key.to_pkcs8().unwrap();
    fs::write(folder.join("key.pem"), pem("PRIVATE KEY", key.secret_der())).unwrap();
}

fn append(path: &Path, text: &str) {
    let before = fs::read_to_string(path).unwrap();
    fs::write(path, before + text).unwrap();
}

/// A script that writes down its arguments.
const SCRIPT: &str = "#!/bin/sh\necho \"$1 $2\" >> \"$(dirname \"$0\")/events\"\n";

fn create_account(node: &Running, id: &str) {
    node.ask(&Request::CreateAccount(create_account::Request {
        account: AccountId::parse(id).unwrap(),
        secret: None,
        bytes: None,
        cms_key: None,
    }));
}

/// Stops the node; the events since the last time.
fn stop(node: Running, folder: &Path) -> Vec<String> {
    node.signal(Signal::SIGTERM);
    assert_eq!(node.wait(), Some(0));
    let path = folder.join("pool/scripts/events");
    let events = fs::read_to_string(&path).unwrap();
    fs::remove_file(path).unwrap();
    events.lines().map(str::to_owned).collect()
}

fn count(events: &[String], event: &str) -> usize {
    events.iter().filter(|line| *line == event).count()
}

/// A configuration with something to remark on: certificate and disk.
fn configure(folder: &Path) {
    let pool = folder.join("pool");
    write_certificate(&pool, SystemClock::new().now());
    let disk = nix::sys::statvfs::statvfs(&pool).unwrap();
    let free = disk.blocks_available() * disk.fragment_size();
    let local = format!(
        "certificate \"{0}/chain.pem\" \"{0}/key.pem\"\ndisk-min-free {1}\n",
        pool.display(),
        free / 3 * 2
    );
    append(&pool.join("crs-local.conf"), &local);
}

fn ask_doctor(node: &Running) -> Vec<(String, doctor::Verdict)> {
    let request = doctor::Request { only: Vec::new(), pool: false };
    let Reply::Doctor(reply) = node.ask(&Request::Doctor(request)) else { panic!("no findings") };
    reply.checks.into_iter().map(|check| (check.name, check.result)).collect()
}

#[test]
fn a_node_tells_of_what_it_finds_by_script_log_and_doctor() {
    let dir = tempfile::tempdir().unwrap();
    let node = Running::start(dir.path());
    fs::write(dir.path().join("pool/scripts/notify.sh"), SCRIPT).unwrap();
    append(&dir.path().join("pool/crs-relay.conf"), "MAX_RTP_RELAYS=0\n");
    node.signal(Signal::SIGHUP);
    node.wait_for_metric("crs_config_reloads_total{result=\"applied\"} 1");
    create_account(&node, "police");
    // The call of the health check is the one that the limit refuses.
    node.ask(&Request::HealthCheck(health_check::Request {
        what: health_check::What::Account(AccountId::parse("police").unwrap()),
        local_only: true,
    }));
    let events = stop(node, dir.path());
    assert_eq!(count(&events, "relay limit"), 1, "{events:?}");
    assert_eq!(count(&events, "config drift"), 0, "SIGHUP took it: {events:?}");

    configure(dir.path());
    let node = Running::start(dir.path());
    append(&dir.path().join("pool/crs-local.conf"), "log-level loud\n");
    node.signal(Signal::SIGHUP);
    node.wait_for_metric("crs_config_reloads_total{result=\"refused\"} 1");
    create_account(&node, "fire");
    let found = ask_doctor(&node);
    for name in ["certificate", "configuration", "disk", "updates-current"] {
        let (_, result) = found.iter().find(|(found, _)| found == name).unwrap();
        assert_ne!(*result, doctor::Verdict::Ok, "{name}");
    }
    let events = stop(node, dir.path());
    for once in [
        "node up",
        "disk low",
        "cert expiring",
        "config drift",
        "audit admin",
        "node drain",
        "node down",
    ] {
        assert_eq!(count(&events, once), 1, "{once:?} in {events:?}");
    }
    assert!(count(&events, "update missing") >= 1, "{events:?}");

    let log = fs::read_to_string(dir.path().join("pool/log/crs.log")).unwrap();
    for part in [
        "] account police has no update for ",
        "MiB are free",
        "] the certificate of the client port ends within 30 days, at ",
        "] the files on disk would be refused: ",
        "create account fire: done",
        "] draining",
        "] stopped",
    ] {
        assert!(log.contains(part), "{part:?} not in\n{log}");
    }
}
