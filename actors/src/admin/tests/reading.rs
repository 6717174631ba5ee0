//! `show …`, `check slot`, `doctor`, `health-check`, `complete`.

use crs_admin_api::command::doctor::{NODE_CHECKS, Verdict};
use crs_admin_api::command::show_services::Status;
use crs_admin_api::command::*;
use crs_admin_api::{Code, Exit, Reply, Request, SecretText};
use crs_storage::UserKey;
use crs_storage::store::UserCounters;

use super::bed::{Bed, account, uri};
use crate::admin::commands::{audited, audited_outcome};

#[tokio::test]
async fn show_system_services_node_and_slot_tell_where_things_are() {
    let bed = Bed::new();
    let Reply::ShowSystem(rows) =
        bed.ask(Request::ShowSystem(show_system::Request {})).await.unwrap()
    else {
        panic!()
    };
    let slots: Vec<_> = rows.iter().map(|r| (r.process.as_str(), r.slots.as_str())).collect();
    assert_eq!(
        slots,
        [
            ("app:admin", "-"),
            ("app:attach", "0-16383"),
            ("app:message", "0-4095,4096-8191,8192-12287,12288-16383"),
            ("app:session", "0-16383"),
        ]
    );
    let ask = Request::ShowServices(show_services::Request {});
    let Reply::ShowServices(services) = bed.ask(ask.clone()).await.unwrap() else { panic!() };
    let active = services.iter().filter(|s| s.status == Status::Active).count();
    assert_eq!((services.len(), active), (5, 4), "one node has no second copy");
    let slot = check_slot::Request { uri: uri("+46701234567") };
    let Reply::CheckSlot(found) = bed.ask(Request::CheckSlot(slot)).await.unwrap() else {
        panic!()
    };
    assert_eq!((found.leader.as_str(), found.replicas.len()), ("crs1", 1));
    *bed.store.quorum.lock().unwrap() = false;
    let Reply::ShowNode(node) = bed.ask(Request::ShowNode(show_node::Request {})).await.unwrap()
    else {
        panic!()
    };
    assert_eq!((node.nodes[0].behind, node.nodes[0].last_seen.as_str()), (1, "now"));
    assert!(node.next.unwrap().contains("no leader"), "and it answers without one");
}

#[tokio::test]
async fn show_message_and_relay_print_their_counters() {
    let bed = Bed::new();
    bed.store.counters.lock().unwrap().push(UserCounters {
        user: UserKey { account: account("police"), uri: uri("+46701") },
        posted: 3,
        delivered: 2,
        read: None,
        waiting: 1,
        waiting_bytes: 100,
    });
    bed.store.counters.lock().unwrap().push(UserCounters {
        user: UserKey { account: account("police"), uri: uri("urn:x-crs:client:test-0-a") },
        posted: 1,
        delivered: 1,
        read: None,
        waiting: 0,
        waiting_bytes: 0,
    });
    let ask = Request::ShowMessage(show_message::Request { account: None });
    let Reply::ShowMessage(rows) = bed.ask(ask).await.unwrap() else { panic!() };
    assert_eq!((rows[0].post, rows[0].deliv, rows[0].read.as_str()), (3, 2, "never"));
    assert_eq!(rows.len(), 1, "test clients never count");
    let other = Request::ShowMessage(show_message::Request { account: Some(account("fire")) });
    assert!(bed.ask(other).await.unwrap_err().is(Code::NoSuchAccount));
    let Reply::ShowRelay(relay) =
        bed.ask(Request::ShowRelay(show_relay::Request {})).await.unwrap()
    else {
        panic!()
    };
    assert_eq!((relay.types.len(), relay.sent.packets, relay.received.error_too_short), (5, 7, 3));
}

#[tokio::test]
async fn doctor_runs_every_check_it_lists_and_only_those_asked_for() {
    let bed = Bed::new();
    *bed.store.quorum.lock().unwrap() = false;
    let Reply::Doctor(found) = bed.ask(Request::Doctor(doctor::Request::default())).await.unwrap()
    else {
        panic!()
    };
    let mut names: Vec<_> = found.checks.iter().map(|check| check.name.as_str()).collect();
    names.sort_unstable();
    let mut listed = NODE_CHECKS.to_vec();
    listed.sort_unstable();
    assert_eq!(names, listed, "all run, also after a failure");
    assert_eq!((found.result, found.exit()), (Verdict::Fail, Exit::Error));
    let quorum = found.checks.iter().find(|check| check.name == "quorum").unwrap();
    assert!(quorum.cause.is_some() && quorum.fix.is_some());
    assert_eq!(quorum.doc.as_deref(), Some("docs/troubleshooting.md#quorum"));
    let only = doctor::Request { only: vec!["storage".into(), "clock".into()], pool: true };
    let Reply::Doctor(some) = bed.ask(Request::Doctor(only)).await.unwrap() else { panic!() };
    assert_eq!(some.checks.len(), 4);
    assert!(some.checks.iter().all(|check| check.node.as_deref() == Some("crs1")));
}

#[tokio::test]
async fn health_check_joins_updates_and_the_probes_tests() {
    let bed = Bed::new();
    let create = create_account::Request {
        account: account("police"),
        secret: None,
        bytes: None,
        cms_key: None,
    };
    bed.ask(Request::CreateAccount(create)).await.unwrap();
    let check = |id: &str| {
        let what = health_check::What::Account(account(id));
        Request::HealthCheck(health_check::Request { what, local_only: true })
    };
    let Reply::HealthCheck(report) = bed.ask(check("police")).await.unwrap() else { panic!() };
    let results: Vec<_> =
        report.tests.iter().map(|t| (t.name.as_str(), t.result.as_str())).collect();
    let expected = [("update-current", "error"), ("update-next", "warning"), ("call", "ok")];
    assert_eq!(results, expected);
    assert_eq!((report.exit(), report.node.as_str()), (Exit::Error, "crs1"));
    assert_eq!(report.tests[2].description, "police local true");
    assert!(bed.ask(check("fire")).await.unwrap_err().is(Code::NoSuchAccount));
    let what = health_check::What::System;
    let system = Request::HealthCheck(health_check::Request { what, local_only: false });
    let Reply::HealthCheck(report) = bed.ask(system).await.unwrap() else { panic!() };
    assert!(report.tests.iter().any(|test| test.name == "quorum"));
    assert!(report.tests.iter().all(|test| !test.name.starts_with("update")));
    let _turn = bed.context.probes.try_acquire().unwrap();
    assert!(bed.ask(check("police")).await.unwrap_err().is(Code::Busy));
}

#[tokio::test]
async fn completion_knows_accounts_and_attached_numbers() {
    let bed = Bed::new();
    bed.attach("police", "+46701", 1).await;
    bed.attach("police", "+47702", 2).await;
    let kind = complete::Kind::Uri(account("police"));
    let ask = Request::Complete(complete::Request { kind, prefix: "+46".to_owned() });
    let Reply::Complete(values) = bed.ask(ask).await.unwrap() else { panic!() };
    assert_eq!(values, [complete::Value { value: "+46701".to_owned() }]);
}

#[tokio::test]
async fn completion_stops_at_its_limit() {
    let bed = Bed::new();
    for n in 0..=complete::VALUES_MAX as u64 {
        bed.attach("police", &format!("+4670{n:07}"), n).await;
    }
    let kind = complete::Kind::Uri(account("police"));
    let ask = Request::Complete(complete::Request { kind, prefix: String::new() });
    let Reply::Complete(values) = bed.ask(ask).await.unwrap() else { panic!() };
    assert_eq!(values.len(), complete::VALUES_MAX);
}

#[test]
fn what_changes_or_reveals_leaves_an_audit_line_without_secrets() {
    let police = || account("police");
    let create = Request::CreateAccount(create_account::Request {
        account: police(),
        secret: Some(SecretText::new("AAECAwQFBgcICQoLDA0ODw==")),
        bytes: None,
        cms_key: None,
    });
    assert_eq!(audited(&create).as_deref(), Some("create account police"));
    let add = blacklist_add::Request { account: police(), uri: uri("+46701") };
    let line = audited(&Request::BlacklistAdd(add));
    assert_eq!(line.as_deref(), Some("blacklist add police +46701"));
    let finish = apply::Request::Finish { force: true, confirm_fingerprint: None };
    let line = audited(&Request::Apply(finish));
    let applied = apply::Reply::Applied(apply::Applied {
        account: police(),
        period: "2026-11".parse().unwrap(),
        serial: 7,
        created: String::new(),
        users: 1,
        cms_key: String::new(),
        closed: 0,
    });
    let outcome = audited_outcome(line.clone(), &Ok(Reply::Apply(applied)));
    assert_eq!(outcome.as_deref(), Some("apply (forced) police 2026-11 serial 7"));
    let asked = apply::Reply::Unconfirmed { account: police(), fingerprint: String::new() };
    assert_eq!(audited_outcome(line, &Ok(Reply::Apply(asked))), None);
    assert_eq!(audited(&Request::Apply(apply::Request::Begin { size: 1 })), None);
    let list = |reveal| Request::ListAccount(list_account::Request { reveal });
    assert_eq!(audited(&list(true)).as_deref(), Some("list account --reveal"));
    assert_eq!(audited(&list(false)), None);
    let reload = Request::ReloadAccount(reload_account::Request {});
    assert_eq!(audited(&reload).as_deref(), Some("reload account"));
}
