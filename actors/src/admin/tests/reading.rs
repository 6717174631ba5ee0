//! `show …`, `check slot`, `doctor`, `health-check`, `complete`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crs_admin_api::command::doctor::{NODE_CHECKS, Verdict};
use crs_admin_api::command::show_services::Status;
use crs_admin_api::command::*;
use crs_admin_api::{COMMANDS, Code, Exit, Impact, Reply, Request, SecretText};
use crs_storage::UserKey;
use crs_storage::store::UserCounters;
use crs_types::Period;

use super::bed::{Bed, NOW, account, uri};
use crate::accounts::AccountsView;
use crate::admin::commands::{audited, audited_outcome};
use crate::testing::Domain;

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
async fn doctor_shows_what_the_nodes_own_watch_has_found() {
    use crate::admin::ShownCertificate;
    let days = |n: u64| std::time::Duration::from_secs(n * 86_400 + 60);
    let bed = Bed::new();
    let verdict = async |name: &str| {
        let only = doctor::Request { only: vec![name.into()], pool: false };
        let Reply::Doctor(some) = bed.ask(Request::Doctor(only)).await.unwrap() else { panic!() };
        let [check] = &some.checks[..] else { panic!("{some:?}") };
        (check.result, format!("{} {:?} {:?}", check.description, check.cause, check.fix))
    };
    for name in ["certificate", "configuration", "authorities", "clock"] {
        assert_eq!(verdict(name).await.0, Verdict::Ok, "{name}");
    }
    for (left, wanted) in
        [(31, Verdict::Ok), (30, Verdict::Warn), (2, Verdict::Warn), (1, Verdict::Fail)]
    {
        let end = NOW.plus(days(left));
        bed.watched.update(|found| {
            found.certificate = Some(ShownCertificate { end, own: false });
            found.authorities = vec![(account("police"), end)];
        });
        let (result, text) = verdict("certificate").await;
        assert_eq!(result, wanted, "{text}");
        assert!(result == Verdict::Ok || text.contains("systemctl reload crs"), "{text}");
        assert_eq!(verdict("authorities").await.0, wanted);
    }
    let line = "crs.conf:4: warning: host: crs2: kept, but not joined yet";
    bed.watched.update(|found| found.without_effect = vec![line.to_owned()]);
    let (result, text) = verdict("configuration").await;
    assert!(result == Verdict::Warn && text.contains(line), "{text}");
    bed.watched.update(|found| {
        found.drift = Some("the files on disk differ from what runs: key".to_owned());
        found.clock_jump = Some((NOW.minus(days(0)), "the clock jumped back by 60.0 s".to_owned()));
    });
    let (result, text) = verdict("configuration").await;
    assert!(result == Verdict::Warn && text.contains("differ from what runs: key"), "{text}");
    let (result, text) = verdict("clock").await;
    assert!(result == Verdict::Warn && text.contains("jumped back by 60.0 s"), "{text}");
    let yesterday = NOW.minus(days(1));
    bed.watched.update(|found| found.clock_jump = Some((yesterday, "it jumped".to_owned())));
    assert_eq!(verdict("clock").await.0, Verdict::Ok, "forgotten after a day");
}

#[tokio::test]
async fn doctor_without_any_account_says_what_to_do_first() {
    let bed = Bed::new();
    let ask = || Request::Doctor(doctor::Request::default());
    let Reply::Doctor(found) = bed.ask(ask()).await.unwrap() else { panic!() };
    let check = |found: &doctor::Reply, name: &str| {
        found.checks.iter().find(|check| check.name == name).cloned().unwrap()
    };
    let first = check(&found, "first-account");
    assert_eq!(first.result, Verdict::Warn);
    assert!(first.cause.unwrap().contains("create an account"));
    assert_eq!(first.fix.as_deref(), Some("crs-cli create account --help"));
    for name in ["updates-current", "updates-next"] {
        let updates = check(&found, name);
        let seen = (updates.result, updates.description.as_str());
        assert_eq!(seen, (Verdict::Ok, "there is no account yet"));
    }
    bed.ask(Request::CreateAccount(create_account::Request {
        account: account("police"),
        secret: None,
        bytes: None,
        cms_key: None,
    }))
    .await
    .unwrap();
    let Reply::Doctor(found) = bed.ask(ask()).await.unwrap() else { panic!() };
    let first = check(&found, "first-account");
    assert_eq!((first.result, first.description.as_str()), (Verdict::Ok, "1 account"));
    let updates = check(&found, "updates-current");
    assert_eq!(updates.result, Verdict::Fail);
    assert!(updates.cause.unwrap().contains("crs-cms update create"), "where the file comes from");
}

#[tokio::test]
async fn doctor_finds_files_with_keys_that_others_may_read() {
    use std::os::unix::fs::PermissionsExt;
    let bed = Bed::new();
    let path = bed.root.path().join("the key.pem");
    std::fs::write(&path, "x").unwrap();
    let gone = bed.root.path().join("gone.pem");
    bed.watched.update(|found| found.secret_files = vec![path.clone(), gone]);
    let permissions = async |mode: u32| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let only = doctor::Request { only: vec!["permissions".into()], pool: false };
        let Reply::Doctor(some) = bed.ask(Request::Doctor(only)).await.unwrap() else { panic!() };
        some.checks[0].clone()
    };
    assert_eq!(permissions(0o640).await.result, Verdict::Ok);
    for mode in [0o644, 0o602, 0o601] {
        let found = permissions(mode).await;
        assert_eq!(found.result, Verdict::Warn, "{mode:o}");
        assert!(found.description.ends_with("the key.pem"), "{found:?}");
        let fix = found.fix.unwrap();
        let pasted = std::process::Command::new("sh").args(["-c", &fix]).status().unwrap();
        assert!(pasted.success(), "{fix}");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o007, 0, "{fix}");
    }
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

/// Who is blocked or looked up need not be attached; who is purged must be.
#[tokio::test]
async fn completion_offers_the_numbers_that_the_command_takes() {
    let bed = Bed::new();
    let attached = bed.attach("police", "+46709", 1).await;
    let mut domain = Domain::new("police");
    for number in ["+46701", "+467011", "+4670", "+47701"] {
        domain.user_of(number, Period::at(NOW), 1);
    }
    let accounts = BTreeMap::from([(account("police"), Arc::new(domain.account()))]);
    bed.context.accounts.swap(AccountsView { version: 1, accounts });
    let numbers = async |kind: complete::Kind, prefix: &str| {
        let ask = complete::Request { kind, prefix: prefix.to_owned() };
        let Reply::Complete(values) = bed.ask(Request::Complete(ask)).await.unwrap() else {
            panic!()
        };
        values.into_iter().map(|value| value.value).collect::<Vec<_>>()
    };
    let police = || account("police");
    let all = ["+46709", "+4670", "+46701", "+467011"];
    assert_eq!(numbers(complete::Kind::Uri(police()), "+46").await, all, "attached ones first");
    assert_eq!(numbers(complete::Kind::AnyUri, "+46").await, all);
    assert_eq!(numbers(complete::Kind::AnyUri, "").await.len(), 5);
    assert_eq!(numbers(complete::Kind::Attached(police()), "+46").await, ["+46709"]);
    assert_eq!(numbers(complete::Kind::Uri(police()), "+46701").await, ["+46701", "+467011"]);
    for none in ["46", "+46x", "+4670100000000000", "+48"] {
        let found = numbers(complete::Kind::Uri(police()), none).await;
        assert_eq!(found, [] as [&str; 0], "{none}");
    }
    drop(attached);
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
}

/// AD-15: a command that changes something and has no row here fails the test.
#[test]
fn every_changing_command_leaves_an_audit_line() {
    let police = || account("police");
    let changing = [
        (Request::ReloadAccount(reload_account::Request {}), "reload account"),
        (
            Request::Apply(apply::Request::Finish { force: false, confirm_fingerprint: None }),
            "apply",
        ),
        (
            Request::BlacklistAdd(blacklist_add::Request { account: police(), uri: uri("+46701") }),
            "blacklist add police +46701",
        ),
        (
            Request::BlacklistRemove(blacklist_remove::Request {
                account: police(),
                uri: uri("+46701"),
            }),
            "blacklist remove police +46701",
        ),
        (
            Request::CreateAccount(create_account::Request {
                account: police(),
                secret: None,
                bytes: None,
                cms_key: None,
            }),
            "create account police",
        ),
        (
            Request::DeleteAccount(delete_account::Request { account: police() }),
            "delete account police",
        ),
        (
            Request::PurgeClient(purge_client::Request { account: police(), uri: uri("+46701") }),
            "purge client police +46701",
        ),
        (
            Request::PurgeClients(purge_clients::Request { account: police() }),
            "purge clients police",
        ),
    ];
    for (request, line) in &changing {
        assert_eq!(audited(request).as_deref(), Some(*line));
    }
    let names: BTreeSet<&str> = changing.iter().map(|(request, _)| request.name()).collect();
    let all = COMMANDS.iter().filter(|(_, impact, _)| *impact == Impact::Change);
    assert_eq!(names, all.map(|(name, ..)| *name).collect());
}
