//! Every series of `/metrics` moves in an ordinary first minute of a node, or is named here with
//! the reason why it does not: a series that nobody counts would look like good news for ever.

use std::collections::{BTreeMap, BTreeSet};

use crs_admin_api::command::{create_account, health_check};
use crs_admin_api::{Reply, Request};
use crs_types::AccountId;

use crate::program::Running;

/// Series that stay as they are while all is well, by the beginning of their names.
const STILL: &[(&str, &str)] = &[
    ("crs_accept_pauses_total", "room for everybody"),
    ("crs_accounts_with_update", "the account has none"),
    ("crs_actor_", "nothing fails"),
    ("crs_attaches_denied_total", "nobody is barred"),
    ("crs_attaches_total{result=\"denied\"}", "nobody is barred"),
    ("crs_build_info", "says what was built"),
    ("crs_calls_active", "the call is over"),
    ("crs_clients_attached", "the clients are gone"),
    ("crs_config_", "counts reloads; life.rs sees them"),
    ("crs_connections_cut_total", "clients keep to the protocol"),
    ("crs_connections_open", "the clients are gone"),
    ("crs_connections_refused_total", "no address fails its handshakes, no network is silent"),
    ("crs_connections_unused_total", "nobody only looks whether the port is open"),
    ("crs_store_id_conflicts_total", "every id is used once"),
    ("crs_handshake_failures_total", "no handshake fails"),
    ("crs_handshake_seconds_bucket", "some of several buckets count"),
    ("crs_handshakes_active", "they are over"),
    ("crs_handshakes_total{key_exchange=\"classical\"}", "our clients know the hybrid one"),
    ("crs_log_", "the log is written"),
    ("crs_messages_refused_total", "every message is taken"),
    ("crs_messages_repeated_total", "no post is repeated"),
    ("crs_notify_", "no script fails, no event is dropped"),
    ("crs_process_", "the process may be as large as before"),
    ("crs_queue_depth", "empty whenever somebody looks"),
    ("crs_queue_refused_total", "never full"),
    ("crs_rate_limited_total", "nobody is too fast"),
    ("crs_relay_address_taken_total", "every client has an address of its own"),
    ("crs_relay_dropped_packets_total", "nothing is dropped"),
    ("crs_relay_ring_full_total", "rings are never full"),
    ("crs_relays{", "the call is over"),
    ("crs_relays_made_total{type=\"opaque relay\"}", "nobody asks for one"),
    ("crs_relays_refused_total", "no limit is reached"),
    ("crs_relay_rx_", "the other types of relay are not asked for"),
    ("crs_relay_tx_", "the other types of relay are not asked for"),
    ("crs_store_body_bytes", "the body is short"),
    ("crs_store_disk_full", "there is space"),
    ("crs_store_groups_without_leader", "one node leads itself"),
    ("crs_store_log_bytes", "segments have a fixed size"),
    ("crs_store_entry_commands_bucket", "some of several buckets count"),
    ("crs_store_free_bytes", "the disk may be as full as before"),
    ("crs_store_queued_commands", "all are done"),
    ("crs_store_receipts_dropped_total", "few receipts"),
    ("crs_store_refused_commands_total", "no queue is full"),
    ("crs_store_sync_seconds_bucket", "some of several buckets count"),
    ("crs_store_sync_writes_bucket", "some of several buckets count"),
    ("crs_store_table_bytes", "the tables may be as large as before"),
    ("crs_store_table_rebuilds_total", "a first start"),
    ("crs_store_torn_tails_total", "a first start"),
    ("crs_trace_", "nobody traces"),
    ("crs_unregistered_total", "clients go by themselves"),
    ("crs_updates_total", "the account has none"),
];

/// Series that must move, for the beginnings above would let them stand still.
const MOVES: &[&str] = &[
    "crs_messages_posted_total",
    "crs_messages_delivered_total",
    "crs_messages_acked_total",
    "crs_relays_made_total{type=\"RTP relay\"}",
    "crs_handshakes_total{key_exchange=\"hybrid\"}",
    "crs_relay_rx_packets_total{type=\"RTP relay\"}",
    "crs_relay_tx_packets_total{type=\"RTP relay\"}",
];

fn series(node: &Running) -> BTreeMap<String, String> {
    let text = node.get("/metrics").1;
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A call and a message between two clients, through the real listener, store and relay.
fn a_busy_minute(node: &Running) {
    let account = AccountId::parse("police").unwrap();
    node.ask(&Request::CreateAccount(create_account::Request {
        account: account.clone(),
        secret: None,
        bytes: None,
        cms_key: None,
    }));
    let what = health_check::What::Account(account);
    let reply = node.ask(&Request::HealthCheck(health_check::Request { what, local_only: true }));
    let Reply::HealthCheck(reply) = reply else { panic!("{reply:?}") };
    for name in ["attach", "lookup", "message", "call"] {
        let test = reply.tests.iter().find(|test| test.name == name);
        let well = test.is_some_and(|test| test.result == health_check::Health::Ok);
        assert!(well, "{name}: {reply:?}");
    }
}

/// Words that make a counter one of failures.
const FAILURES: &[&str] = &[
    "_refused",
    "_failures",
    "_dropped",
    "_cut",
    "_pauses",
    "_limited",
    "_conflicts",
    "_taken",
    "_full",
    "_escalations",
    "_restarts",
    "_unregistered",
    "_ends",
];

/// The operator's page names the total of every counter of failures, and both are there (U33).
#[test]
fn every_counter_of_failures_has_its_total_beside_it() {
    let page = include_str!("../../../docs/operator/running.md");
    let names = |cell: &str| {
        let words = cell.split('`').skip(1).step_by(2);
        words.filter(|word| word.starts_with("crs_")).map(str::to_owned).collect::<Vec<_>>()
    };
    let table = page.split_once("| failures | of |\n").unwrap().1.split("\n\n").next().unwrap();
    let rows = table.lines().filter_map(|row| row.trim_matches('|').split_once(" | "));
    let mut totals = BTreeMap::new();
    for (failures, total) in rows {
        let [total] = &names(total)[..] else { panic!("no total in {total:?}") };
        totals.extend(names(failures).into_iter().map(|name| (name, total.clone())));
    }
    let dir = tempfile::tempdir().unwrap();
    let node = Running::start(dir.path());
    a_busy_minute(&node);
    let text = node.get("/metrics").1;
    let there: BTreeSet<&str> =
        text.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();
    for (failures, total) in &totals {
        assert!(there.contains(failures.as_str()), "there is no {failures}");
        assert!(there.contains(total.as_str()), "there is no {total}, the total of {failures}");
    }
    let counters = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let counters = counters.filter_map(|line| line.strip_suffix(" counter"));
    let alone: Vec<&str> = counters
        .filter(|name| FAILURES.iter().any(|word| name.contains(word)))
        .filter(|name| !totals.contains_key(*name))
        .collect();
    assert_eq!(alone, Vec::<&str>::new(), "of how many?");
}

#[test]
fn every_series_moves_or_is_named_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let node = Running::start(dir.path());
    let before = series(&node);
    a_busy_minute(&node);
    let after = series(&node);
    // What was not there before has begun to count.
    let moved: BTreeSet<&String> = after
        .iter()
        .filter(|(name, value)| before.get(*name) != Some(*value))
        .map(|(n, _)| n)
        .collect();
    let named = |name: &str| STILL.iter().any(|(start, _)| name.starts_with(start));
    let still: Vec<&String> =
        after.keys().filter(|name| !moved.contains(name) && !named(name)).collect();
    assert_eq!(still, Vec::<&String>::new(), "nobody counts these");
    for name in MOVES {
        assert!(moved.iter().any(|moved| moved == name), "{name} stands still");
    }
    let wrong: Vec<_> = STILL
        .iter()
        .filter(|(start, _)| !after.keys().any(|name| name.starts_with(start)))
        .collect();
    assert!(wrong.is_empty(), "no such series: {wrong:?}");
}
