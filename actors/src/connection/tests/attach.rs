//! Attach, its denials, displacement, and every way a registration ends.

use std::time::Duration;

use crs_proto::wire::life::UnregisteredReason;
use crs_types::{Period, Uri};
use serde_json::json;

use crate::context::DrainState;
use crate::settings::{DetachCleanupRule, Settings, Subject};
use crate::testing::{Bed, Client, Domain, NOW, Options, until};
use crate::trace::{AttachState, ConnectionState, TraceEvent};

fn month() -> Period {
    Period::at(NOW)
}

fn words(bed: &Bed) -> Vec<String> {
    bed.trace
        .take()
        .into_iter()
        .filter_map(|event| match event {
            TraceEvent::Connection(e) => Some(match e.state {
                ConnectionState::Connected => "connected".to_owned(),
                ConnectionState::Authenticated => "authenticated".to_owned(),
                ConnectionState::Negotiated => "negotiated".to_owned(),
                ConnectionState::Closed => "closed".to_owned(),
            }),
            TraceEvent::Attach(e) => Some(match e.state {
                AttachState::Registered => "registered".to_owned(),
                AttachState::Unregistered => format!("unregistered {}", e.description),
                AttachState::Denied => format!("denied {}", e.description),
            }),
            TraceEvent::Session(_)
            | TraceEvent::Message(_)
            | TraceEvent::Event(_)
            | TraceEvent::Object(_)
            | TraceEvent::Statistics(_) => None,
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_attaches_and_goes() {
    let mut domain = Domain::new("acme");
    let anna = domain.user("+46701");
    let bed = Bed::start(&[&domain], Options::default()).await;
    let mut client = bed.connect(&anna).await;
    let welcome = client.early.remove(0);
    assert_eq!(welcome["protocol"], "crs.v1");
    assert_eq!(welcome["uri"], "tel:+46701");
    assert_eq!(welcome["node"], "crs1");
    let info = json!({"version": "t/1", "os": "x"});
    let fields = json!({"role": "primary", "device": "phone", "client_info": info});
    let reply = client.ask("attach", fields).await;
    assert_eq!((&reply["ok"], &reply["state"]), (&json!(true), &json!("attached")), "{reply}");
    assert_eq!(reply["updates"][0]["period"], month().to_string());
    let all = bed.context.directory.snapshot();
    assert_eq!(all.len(), 1);
    assert_eq!((&*all[0].version, all[0].device.as_str()), ("t/1", "phone"));
    assert_eq!(client.ask("bye", json!({})).await["ok"], true);
    assert_eq!(client.closed().await, Some(1000));
    until("the place is free", || bed.capacity.count() == 0).await;
    assert_eq!(bed.context.directory.count(), 0);
    assert_eq!(
        words(&bed),
        ["connected", "authenticated", "negotiated", "registered", "unregistered client", "closed"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn denials_have_their_reason_and_keep_the_connection() {
    let mut domain = Domain::new("acme");
    let listed = domain.user("+46701");
    let barred = domain.user("+46702");
    let stranger = domain.issue("+46703", month(), 1);
    let early = domain.issue("+46701", month(), 2);
    let unpublished = domain.user("+46704");
    domain.edit("+46704", |user| user.listed = false);
    domain.blacklist.insert(Uri::parse("+46702").unwrap());
    let bed = Bed::start(&[&domain], Options::default()).await;
    for (user, expected) in
        [(&barred, "blacklisted"), (&stranger, "not-listed"), (&early, "not-authorised")]
    {
        let mut client = bed.connect(user).await;
        let reply = client.ask("attach", json!({"role": "primary", "device": "d"})).await;
        assert_eq!(reply["err"]["code"], "denied", "{reply}");
        assert_eq!(reply["err"]["reason"], expected);
        assert_eq!(client.ask("time", json!({})).await["ok"], true);
    }
    let denials: Vec<_> = words(&bed).into_iter().filter(|w| w.starts_with("denied")).collect();
    assert_eq!(denials, ["denied blacklisted", "denied not-listed", "denied not-authorised"]);
    bed.attach(&unpublished, "primary", "d").await;
    bed.context.set_drain_state(DrainState::Draining);
    let mut client = bed.connect(&listed).await;
    let reply = client.ask("attach", json!({"role": "primary", "device": "d"})).await;
    assert_eq!(reply["err"]["reason"], "node-drain");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_primary_displaces_the_old_and_secondaries_are_counted() {
    let mut domain = Domain::new("acme");
    let anna = domain.user("+46701");
    let bed = Bed::start(&[&domain], Options::default()).await;
    let mut old = bed.attach(&anna, "primary", "phone-1").await;
    let _new = bed.attach(&anna, "primary", "phone-2").await;
    assert_eq!(old.event("unregistered").await["reason"], "replaced");
    let mut clients = Vec::new();
    for n in 0..5 {
        clients.push(bed.attach(&anna, "secondary", &format!("desk-{n}")).await);
    }
    let mut sixth = bed.connect(&anna).await;
    let reply = sixth.ask("attach", json!({"role": "secondary", "device": "desk-5"})).await;
    assert_eq!(reply["err"]["reason"], "too-many");
    // The same device again takes its own place.
    let _again = bed.attach(&anna, "secondary", "desk-0").await;
    assert_eq!(clients[0].event("unregistered").await["reason"], "replaced");
    assert_eq!(bed.context.directory.count(), 6);
    let first = &bed.context.directory.snapshot()[0];
    assert_eq!(first.device.as_str(), "phone-2");
    // The displaced client is told that it is no longer registered.
    let reply = old.ask("msg.fetch", json!({})).await;
    assert_eq!(reply["err"]["code"], "not-attached");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detach_cleanup_rule_closes_after_its_delay() {
    let mut domain = Domain::new("acme");
    let anna = domain.user("+46701");
    let rule = DetachCleanupRule {
        subject: Subject::User { uri: anna.keys.identity.uri.clone(), account: domain.id.clone() },
        delay: Duration::from_millis(20),
    };
    let settings = Settings { detach_cleanup: vec![rule], ..Settings::default() };
    let bed = Bed::start(&[&domain], Options { settings, ..Options::default() }).await;
    let mut old = bed.attach(&anna, "primary", "phone-1").await;
    let _new = bed.attach(&anna, "primary", "phone-2").await;
    assert_eq!(old.event("unregistered").await["reason"], "replaced");
    assert_eq!(old.closed().await, Some(1008));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_ends_registrations_with_a_reason() {
    let mut domain = Domain::new("acme");
    let anna = domain.user("+46701");
    let bed = Bed::start(&[&domain], Options::default()).await;
    for (reason, word, code) in [
        (UnregisteredReason::Purged, "purged", 4001),
        (UnregisteredReason::Blacklisted, "blacklisted", 1008),
        (UnregisteredReason::UpdateRequired, "update-required", 1008),
        (UnregisteredReason::NodeDrain, "node-drain", 1001),
    ] {
        let mut client = bed.attach(&anna, "primary", "phone").await;
        bed.context.directory.snapshot()[0].handle.unregister(reason).unwrap();
        assert_eq!(client.event("unregistered").await["reason"], word);
        assert_eq!(client.closed().await, Some(code));
        until("the entry is gone", || bed.context.directory.count() == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_mailbox_is_an_error_and_no_ghost() {
    let mut domain = Domain::new("acme");
    let anna = domain.user("+46701");
    let bed = Bed::start(&[&domain], Options::default()).await;
    bed.fake.fail_mail(true);
    let mut client = bed.connect(&anna).await;
    let attach = json!({"role": "primary", "device": "d"});
    let reply = client.ask("attach", attach.clone()).await;
    assert_eq!(reply["err"]["code"], "unavailable");
    assert_eq!(reply["err"]["retry_ms"], 1000);
    assert_eq!(bed.context.directory.count(), 0);
    bed.fake.fail_mail(false);
    assert_eq!(client.ask("attach", attach).await["ok"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_costs_only_its_own_client() {
    let mut domain = Domain::new("acme");
    let (anna, bo) = (domain.user("+46701"), domain.user("+46702"));
    let bed = Bed::start(&[&domain], Options::default()).await;
    let mut victim = bed.attach(&anna, "primary", "a").await;
    let mut other = bed.attach(&bo, "primary", "b").await;
    bed.context.directory.snapshot()[0].handle.panic();
    assert_eq!(victim.closed().await, None);
    until("the ghost is gone", || bed.context.directory.count() == 1).await;
    assert_eq!(bed.fake.detached().len(), 1);
    assert_eq!(other.ask("time", json!({})).await["ok"], true);
    let _again: Client = bed.attach(&anna, "primary", "a").await;
    until("two actors", || bed.connections.population() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn last_months_keys_fetch_updates_only() {
    let mut domain = Domain::new("acme");
    let old = domain.user_of("+46701", month().previous().previous(), 1);
    let _current = domain.user("+46701");
    let bed = Bed::start(&[&domain], Options::default()).await;
    let mut client = bed.connect(&old).await;
    assert_eq!(client.early.remove(0)["update_only"], true);
    let reply = client.ask("attach", json!({"role": "primary", "device": "d"})).await;
    assert_eq!(reply["err"]["reason"], "update-required");
    let package = client.ask("upd.get", json!({"period": month().to_string()})).await;
    assert_eq!(package["ok"], true, "{package}");
    let confirm = json!({"period": month().to_string(), "serial": package["serial"]});
    assert_eq!(client.ask("upd.confirm", confirm).await["ok"], true);
}

/// Nor is whoever was removed told to fetch one: there is none.
#[tokio::test(flavor = "multi_thread")]
async fn last_months_keys_of_a_removed_user_fetch_nothing() {
    let mut domain = Domain::new("acme");
    let old = domain.user_of("+46701", month().previous().previous(), 1);
    let _other = domain.user("+46702");
    let bed = Bed::start(&[&domain], Options::default()).await;
    let mut client = bed.connect(&old).await;
    assert_eq!(client.early.remove(0)["update_only"], true);
    let attach = client.ask("attach", json!({"role": "primary", "device": "d"})).await;
    let get = client.ask("upd.get", json!({"period": month().to_string()})).await;
    for denied in [attach, get] {
        assert_eq!(denied["err"]["code"], "denied", "{denied}");
        assert_eq!(denied["err"]["reason"], "not-listed");
    }
    assert_eq!(bed.context.directory.count(), 0);
}

#[tokio::test]
async fn a_connection_that_outlives_its_certificate_is_unregistered() {
    let mut domain = Domain::new("acme");
    let anna = domain.user("+46701");
    let bed = Bed::start(&[&domain], Options::default()).await;
    let mut client = bed.attach(&anna, "primary", "d").await;
    tokio::time::pause();
    bed.clock.set(month().end().plus(crs_types::period::GRACE));
    // The wall clock is looked at least once an hour.
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(client.event("unregistered").await["reason"], "update-required");
    assert_eq!(bed.context.directory.count(), 0);
    assert_eq!(client.ask("time", json!({})).await["ok"], true);
}
