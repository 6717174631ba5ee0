//! Operations: messages, lookup, key updates, wake-ups.

use base64_of::base64;
use crs_keys::package;
use crs_types::{MessageId, Period};
use serde_json::{Value, json};

use crate::testing::{Bed, Domain, NOW, Options, User};

mod base64_of {
    use crs_proto::wire::Bytes64;

    pub(super) fn base64(bytes: &[u8]) -> serde_json::Value {
        serde_json::to_value(Bytes64(bytes.to_vec())).unwrap()
    }
}

fn mid(n: u8) -> String {
    MessageId::from_parts(NOW, [n; 10]).to_string()
}

fn post(n: u8, to: &User) -> Value {
    let to = to.keys.identity.uri.as_str();
    json!({"mid": mid(n), "to": to, "body": base64(&[n])})
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_to_one_receiver_keep_their_order_and_others_do_not_wait() {
    let mut domain = Domain::new("acme");
    let (anna, bo, cia) = (domain.user("+46701"), domain.user("+46702"), domain.user("+46703"));
    let bed = Bed::start(&[&domain], Options::default()).await;
    bed.fake.hold_posts();
    let mut client = bed.attach(&anna, "primary", "d").await;
    let first = client.send("msg.post", post(1, &bo)).await;
    let second = client.send("msg.post", post(2, &bo)).await;
    let third = client.send("msg.post", post(3, &cia)).await;
    // Answered out of order: this one does not wait for the store.
    assert_eq!(client.ask("time", json!({})).await["ok"], true);
    crate::testing::until("two posts run", || bed.fake.posted().len() == 2).await;
    bed.fake.release_posts(3);
    for id in [third, second, first] {
        assert_eq!(client.reply(id).await["ok"], true);
    }
    let to_bo: Vec<_> = bed
        .fake
        .posted()
        .into_iter()
        .filter(|posted| posted.post.to == bo.keys.identity.uri)
        .map(|posted| posted.post.mid.to_string())
        .collect();
    assert_eq!(to_bo, [mid(1), mid(2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_can_be_reached_is_the_same_for_posts_and_lookups() {
    let (mut acme, mut brick, mut corp) =
        (Domain::new("acme"), Domain::new("brick"), Domain::new("corp"));
    let anna = acme.user("+46701");
    let hidden = acme.user("+46702");
    acme.edit("+46702", |user| user.listed = false);
    let barred = acme.user("+46703");
    acme.blacklist.insert(barred.keys.identity.uri.clone());
    let (friend, stranger) = (brick.user("+46801"), corp.user("+46901"));
    acme.connected.push((brick.id.clone(), brick.ca.clone()));
    acme.connected.push((corp.id.clone(), corp.ca.clone()));
    brick.connected.push((acme.id.clone(), acme.ca.clone()));
    let bed = Bed::start(&[&acme, &brick, &corp], Options::default()).await;
    let mut client = bed.attach(&anna, "primary", "d").await;
    let nobody = acme.issue("+46799", Period::at(NOW), 1);
    for (user, reachable) in [
        (&anna, true),
        (&friend, true),
        (&hidden, false),
        (&barred, false),
        (&stranger, false),
        (&nobody, false),
    ] {
        let uri = user.keys.identity.uri.as_str();
        let found = client.ask("lookup", json!({"uri": uri})).await;
        let posted = client.ask("msg.post", post(9, user)).await;
        assert_eq!((&found["ok"], &posted["ok"]), (&json!(reachable), &json!(reachable)), "{uri}");
        if reachable {
            assert_eq!(found["account"], user.keys.identity.account.as_str());
            let key = &found["keys"][0];
            assert_eq!(key["sign_cert"], base64(user.keys.sign_cert.as_ref()));
            assert_eq!(key["kem_cert"], base64(&user.keys.kem_cert));
        } else {
            assert_eq!(found["err"]["code"], "not-found");
            assert_eq!(posted["err"]["code"], "not-found");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_updates_are_offered_fetched_and_confirmed() {
    let mut domain = Domain::new("acme");
    let next = Period::at(NOW).next();
    let anna = domain.user("+46701");
    let coming = domain.user_of("+46701", next, 1);
    let bed = Bed::start(&[&domain], Options::default()).await;
    let mut client = bed.connect(&anna).await;
    let attach = json!({"role": "primary", "device": "d"});
    let reply = client.ask("attach", attach.clone()).await;
    assert_eq!(reply["updates"][1]["period"], next.to_string());
    assert_eq!(reply["updates"][1]["confirmed"], false);
    let package = client.ask("upd.get", json!({"period": next.to_string()})).await;
    let bytes: crs_proto::wire::Bytes64 =
        serde_json::from_value(package["package"].clone()).unwrap();
    let (account, period) = package::claimed(&bytes.0).unwrap();
    assert_eq!((account, period), (domain.id.clone(), coming.keys.identity.period));
    let stale = client.ask("upd.confirm", json!({"period": next.to_string(), "serial": 99})).await;
    assert_eq!(stale["err"]["code"], "bad-argument");
    let confirm = json!({"period": next.to_string(), "serial": package["serial"]});
    assert_eq!(client.ask("upd.confirm", confirm).await["ok"], true);
    let reply = client.ask("attach", attach).await;
    assert_eq!(reply["updates"][1]["confirmed"], true);
    let absent = client.ask("upd.get", json!({"period": "2020-01"})).await;
    assert_eq!(absent["err"]["code"], "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wake_up_comes_once_until_the_mailbox_is_fetched() {
    let mut domain = Domain::new("acme");
    let anna = domain.user("+46701");
    let bed = Bed::start(&[&domain], Options::default()).await;
    let mut client = bed.attach(&anna, "primary", "d").await;
    let handle = bed.context.directory.snapshot()[0].handle.clone();
    handle.news(1);
    assert_eq!(client.event("msg.new").await["newest"], 1);
    handle.news(2);
    assert_eq!(client.ask("msg.fetch", json!({})).await["ok"], true);
    handle.news(3);
    assert_eq!(client.event("msg.new").await["newest"], 3);
    assert!(client.early.iter().all(|frame| frame["ev"] != "msg.new"), "{:?}", client.early);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_fetches_at_once_are_pages_one_after_the_other() {
    let mut domain = Domain::new("acme");
    let anna = domain.user("+46701");
    let bed = Bed::start(&[&domain], Options::default()).await;
    bed.fake.fill_mailbox(40, 60_000);
    let mut client = bed.attach(&anna, "primary", "d").await;
    let mut ids = Vec::new();
    for after in 0..30 {
        ids.push(client.send("msg.fetch", json!({"after": after})).await);
    }
    for (after, id) in ids.into_iter().enumerate() {
        let page = client.reply(id).await;
        assert_eq!(page["items"][0]["n"], after as u64 + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secondary_does_not_acknowledge() {
    let mut domain = Domain::new("acme");
    let anna = domain.user("+46701");
    let bed = Bed::start(&[&domain], Options::default()).await;
    let mut second = bed.attach(&anna, "secondary", "d").await;
    let reply = second.ask("msg.ack", json!({"n": [1]})).await;
    assert_eq!(reply["err"]["code"], "not-allowed");
    let mut first = bed.attach(&anna, "primary", "e").await;
    assert_eq!(first.ask("msg.ack", json!({"n": [1, 2, 2]})).await["removed"], 2);
}
