//! Bounds of one connection that no request reaches by itself: queues, rates of each class, the
//! time a close may take.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::limits::{bed, bed_with, call_state};
use crate::settings::{LimitSettings, Settings};
use crate::testing::{NOW, until};

#[tokio::test(flavor = "multi_thread")]
async fn each_class_of_request_is_refused_beyond_its_rate() {
    let limits = LimitSettings {
        attach_per_minute: 2,
        invite_per_minute: 2,
        message_per_minute: 2,
        lookup_per_minute: 2,
        ..LimitSettings::default()
    };
    let (bed, anna) = bed_with(Settings { limits, ..Settings::default() }).await;
    let session = crs_types::SessionId::from_parts(NOW, [1; 10]).to_string();
    let mid = crs_types::MessageId::from_parts(NOW, [1; 10]).to_string();
    let attach = json!({"role": "primary", "device": "d"});
    let classes: [(&str, Value); 4] = [
        ("attach", attach.clone()),
        ("call.invite", json!({"session": session, "to": "+46701", "offer": ""})),
        ("msg.post", json!({"mid": mid, "to": "+46701", "body": ""})),
        ("lookup", json!({"uri": "+46701"})),
    ];
    for (op, fields) in classes {
        let mut client = bed.connect(&anna).await;
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
    client.closed().await;
    until("its place is free", || bed.capacity.count() == 0).await;
}

/// The client asks for the end and then does not answer the close frame.
#[tokio::test]
async fn a_close_is_waited_for_two_seconds() {
    let (bed, anna) = bed().await;
    let mut client = bed.connect(&anna).await;
    client.send("bye", json!({})).await;
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    while bed.capacity.count() > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(began.elapsed() < Duration::from_secs(10), "never cut");
    }
    drop(client);
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
