//! Bounds of one connection that no request reaches by itself: queues, rates of each class, the
//! time a close may take.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::limits::{bed, call_state, frame};
use crate::listener::CLOSE_TIMEOUT;
use crate::settings::{LimitSettings, Settings};
use crate::testing::{Bed, Domain, NOW, Options, until};

#[tokio::test(flavor = "multi_thread")]
async fn each_class_of_request_is_refused_beyond_its_rate() {
    let limits = LimitSettings {
        attach_per_minute: 2,
        invite_per_minute: 2,
        message_per_minute: 2,
        lookup_per_minute: 2,
        ..LimitSettings::default()
    };
    let mut domain = Domain::new("acme");
    // A user for each: the rates are the user's, not the connection's.
    let users = ["+46701", "+46702", "+46703", "+46704"].map(|number| domain.user(number));
    let settings = Settings { limits, ..Settings::default() };
    let bed = Bed::start(&[&domain], Options { settings, ..Options::default() }).await;
    let session = crs_types::SessionId::from_parts(NOW, [1; 10]).to_string();
    let mid = crs_types::MessageId::from_parts(NOW, [1; 10]).to_string();
    let attach = json!({"role": "primary", "device": "d"});
    let classes: [(&str, Value); 4] = [
        ("attach", attach.clone()),
        ("call.invite", json!({"session": session, "to": "+46701", "offer": ""})),
        ("msg.post", json!({"mid": mid, "to": "+46701", "body": ""})),
        ("lookup", json!({"uri": "+46701"})),
    ];
    for ((op, fields), user) in classes.into_iter().zip(users) {
        let mut client = bed.connect(&user).await;
        if op != "attach" {
            assert_eq!(client.ask("attach", attach.clone()).await["ok"], true);
        }
        for _ in 0..2 {
            let reply = client.ask(op, fields.clone()).await;
            assert_ne!(reply["err"]["code"], "rate-limited", "{op}: {reply}");
        }
        let reply = client.ask(op, fields).await;
        assert_eq!(reply["err"]["code"], "rate-limited", "{op}: {reply}");
        let retry = reply["err"]["retry_ms"].as_u64().unwrap();
        assert!((1..=30_001).contains(&retry), "{op}: {retry}");
        assert_eq!(client.ask("time", json!({})).await["ok"], true, "{op} alone is limited");
    }
}

/// 64 events in one go, while the connection's actor cannot take any; the next one cuts.
#[tokio::test]
async fn a_connection_that_cannot_be_told_is_cut() {
    let (bed, anna) = bed().await;
    let mut client = bed.attach(&anna, "primary", "d").await;
    let handle = bed.context.directory.snapshot()[0].handle.clone();
    for n in 0..64 {
        assert!(handle.event(call_state(1)).is_ok(), "{n}");
    }
    assert!(handle.event(call_state(1)).is_err());
    until("the client is off", || bed.context.directory.count() == 0).await;
    assert_eq!(client.closed().await, None, "without a further word");
    until("its place is free", || bed.capacity.count() == 0).await;
    let calls = |frame: &Value| frame["ev"] == "call.state";
    assert!(client.early.iter().filter(|frame| calls(frame)).count() <= 64);
}

/// The client asks for the end, reads our farewell and then does not close.
#[tokio::test]
async fn a_close_is_waited_for_two_seconds() {
    let (bed, anna) = bed().await;
    const STEP: Duration = Duration::from_millis(50);
    let mut client = bed.connect(&anna).await;
    let asked = tokio::time::Instant::now();
    client.send("bye", json!({})).await;
    // Below the WebSocket layer, which would answer.
    client.ws.get_mut().read_to_end(&mut Vec::new()).await.unwrap();
    tokio::time::pause();
    // The server has said its last word before.
    let read = tokio::time::Instant::now();
    while bed.capacity.count() > 0 {
        tokio::time::sleep(STEP).await;
        assert!(read.elapsed() <= CLOSE_TIMEOUT + 2 * STEP, "never cut");
    }
    assert!(asked.elapsed() >= CLOSE_TIMEOUT, "cut after {:?}", asked.elapsed());
    drop(client);
}

/// Whoever sends too much has sent it all before it looks for an answer, and then finds one:
/// nobody is reset in the middle (Autobahn 9.1.6, 9.3.6).
#[tokio::test(flavor = "multi_thread")]
async fn a_message_far_over_the_limit_is_read_to_its_end() {
    const SIZE: usize = 16 << 20;
    let (bed, anna) = bed().await;
    let fragments: Vec<u8> = (0..SIZE / 65_536)
        .flat_map(|n| frame(if n == 0 { 0x01 } else { 0x00 }, &[b'x'; 65_536]))
        .collect();
    for message in [frame(0x81, &vec![b'x'; SIZE]), fragments] {
        let mut client = bed.attach(&anna, "primary", "d").await;
        client.ws.get_mut().write_all(&message).await.unwrap();
        assert_eq!(client.closed().await, Some(1009));
    }
    until("their places are free", || bed.capacity.count() == 0).await;
}

/// The registration does not wait for the farewell: nobody is called on such a connection.
#[tokio::test]
async fn a_closing_connection_is_not_registered_any_more() {
    let (bed, anna) = bed().await;
    let mut client = bed.attach(&anna, "primary", "d").await;
    client.ws.get_mut().write_all(&frame(0x82, b"binary")).await.unwrap();
    until("the user is off", || bed.context.directory.count() == 0).await;
    assert_eq!(bed.capacity.count(), 1, "the close frame waits for an answer");
    assert_eq!(client.closed().await, Some(1003));
}

/// What a client sends after its end is read to a limit only.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_after_the_close_is_cut() {
    let (bed, anna) = bed().await;
    let mut client = bed.connect(&anna).await;
    client.send("bye", json!({})).await;
    let chunk = [0; 16 * 1024];
    let mut sent = 0;
    while client.ws.get_mut().write_all(&chunk).await.is_ok() {
        sent += chunk.len();
        assert!(sent < 256 << 20, "never cut");
    }
    until("its place is free", || bed.capacity.count() == 0).await;
}

/// One acknowledgement makes up to 256 receipts, which the store hands over in one go from a
/// thread of its own: nobody may cut another's connection by acknowledging.
#[tokio::test(flavor = "multi_thread")]
async fn the_receipts_of_a_large_acknowledgement_cut_nobody() {
    let (bed, anna) = bed().await;
    let mut client = bed.attach(&anna, "primary", "d").await;
    let arrivals = crate::store::Arrivals::new();
    arrivals.connect(&bed.context);
    let (hook, registered) = (arrivals.hook(), Arc::clone(&bed.context.directory.snapshot()[0]));
    let receipts = 1..=256u64;
    let last = *receipts.end();
    let storing = tokio::task::spawn_blocking(move || {
        for n in receipts {
            let mut random = [0; 10];
            random[..8].copy_from_slice(&n.to_be_bytes());
            let mid = crs_types::MessageId::from_parts(NOW, random);
            let by = crs_types::Uri::parse("+46702").unwrap();
            hook(&crs_storage::command::mailbox::Arrival {
                user: crs_storage::UserKey::new(registered.account.clone(), registered.uri.clone()),
                newest: n,
                receipt: Some(crs_storage::command::mailbox::ReceiptNote { mid, by }),
            });
        }
    });
    storing.await.unwrap();
    let told = client.event("msg.new").await["newest"].as_u64().unwrap();
    assert!((1..=last).contains(&told));
    assert_eq!(client.ask("time", json!({})).await["ok"], true, "the connection goes on");
    assert_eq!(bed.context.directory.count(), 1);
}
