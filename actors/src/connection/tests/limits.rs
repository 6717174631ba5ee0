//! Limits and broken frames: what happens at each is a named error or a named close.

use std::time::Duration;

use crs_proto::wire::call::{CallState, SessionState};
use crs_proto::wire::{Bytes64, relay::RelayKind};
use crs_types::limits::FRAME_MAX;
use crs_types::{SessionId, Uri};
use futures_util::SinkExt;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;

use crate::connection::ServerEvent;
use crate::connection::io::WRITE_STALL_MAX;
use crate::settings::{KeepAlive, LimitSettings, Settings};
use crate::testing::{Bed, Client, Domain, NOW, Options, User, until};

pub(super) async fn bed_with(settings: Settings) -> (Bed, User) {
    let mut domain = Domain::new("acme");
    let anna = domain.user("+46701");
    (Bed::start(&[&domain], Options { settings, ..Options::default() }).await, anna)
}

pub(super) async fn bed() -> (Bed, User) {
    bed_with(Settings::default()).await
}

/// Sends raw bytes below the WebSocket layer.
async fn raw(client: &mut Client, bytes: &[u8]) {
    let stream = client.ws.get_mut();
    stream.write_all(bytes).await.unwrap();
    stream.flush().await.unwrap();
}

/// A masked frame with a zero mask.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        n @ 0..126 => out.push(0x80 | n as u8),
        n @ 126..65_536 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_frames_close_with_the_code_of_their_fault() {
    let (bed, anna) = bed().await;
    let huge_claim = [&[0x81, 0x80 | 127][..], &(1u64 << 62).to_be_bytes(), &[0; 4]].concat();
    for (what, bytes, code) in [
        ("unmasked", vec![0x81, 2, b'{', b'}'], 1002),
        ("reserved bits", frame(0xf1, b"{}"), 1002),
        ("reserved opcode", frame(0x83, b"{}"), 1002),
        ("fragmented control frame", frame(0x09, b""), 1002),
        ("long control frame", frame(0x89, &[0; 126]), 1002),
        ("not utf-8", frame(0x81, &[b'"', 0xff, b'"']), 1007),
        ("surrogate", frame(0x81, &[0xed, 0xa0, 0x80]), 1007),
        ("binary", frame(0x82, b"x"), 1003),
        ("one byte too long", frame(0x81, &vec![b' '; FRAME_MAX + 1]), 1009),
        ("2^62 bytes claimed", huge_claim, 1009),
    ] {
        let mut client = bed.connect(&anna).await;
        raw(&mut client, &bytes).await;
        assert_eq!(client.closed().await, Some(code), "{what}");
    }
    until("all places are free", || bed.capacity.count() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_frame_is_read() {
    let (bed, anna) = bed().await;
    let mut client = bed.connect(&anna).await;
    let request = r#"{"id":1,"op":"time"}"#;
    let text = format!("{request}{}", " ".repeat(FRAME_MAX - request.len()));
    client.ws.send(Message::text(text)).await.unwrap();
    assert_eq!(client.reply(1).await["ok"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_fragments_and_ping_floods_are_cut() {
    let (bed, anna) = bed().await;
    let mut client = bed.connect(&anna).await;
    // An opening fragment, then empty continuations without end.
    let mut bytes = frame(0x01, b"");
    (0..100_000).for_each(|_| bytes.extend_from_slice(&frame(0x00, b"")));
    let stream = client.ws.get_mut();
    let _ = stream.write_all(&bytes).await;
    assert!(matches!(client.closed().await, Some(1008) | None));
    let mut client = bed.connect(&anna).await;
    let mut bytes = Vec::new();
    (0..500).for_each(|_| bytes.extend_from_slice(&frame(0x89, b"")));
    let _ = client.ws.get_mut().write_all(&bytes).await;
    assert_eq!(client.closed().await, Some(1008));
    until("all places are free", || bed.capacity.count() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_answered_and_a_flood_of_them_is_cut() {
    let (bed, anna) = bed().await;
    let mut client = bed.connect(&anna).await;
    client.ws.send(Message::text("no json")).await.unwrap();
    let reply = client.reply_to_nobody().await;
    assert_eq!(reply["err"]["code"], "malformed");
    assert_eq!(client.ask("no.such", json!({})).await["err"]["code"], "unknown-op");
    for _ in 0..100 {
        client.ws.feed(Message::text("no json")).await.unwrap();
    }
    client.ws.flush().await.unwrap();
    assert_eq!(client.closed().await, Some(1008));
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_are_refused_with_the_time_to_wait() {
    let limits = LimitSettings { lookup_per_minute: 3, ..LimitSettings::default() };
    let (bed, anna) = bed_with(Settings { limits, ..Settings::default() }).await;
    let mut client = bed.attach(&anna, "primary", "d").await;
    for _ in 0..3 {
        assert_eq!(client.ask("lookup", json!({"uri": "+46701"})).await["ok"], true);
    }
    let reply = client.ask("lookup", json!({"uri": "+46701"})).await;
    assert_eq!(reply["err"]["code"], "rate-limited");
    let retry = reply["err"]["retry_ms"].as_u64().unwrap();
    assert!((1..=20_001).contains(&retry), "{retry}");
    // SIGHUP reaches connections that are open.
    let limits = LimitSettings { lookup_per_minute: 600, ..LimitSettings::default() };
    bed.context.reload(Settings { limits, ..Settings::default() });
    let reply = client.ask("lookup", json!({"uri": "+46701"})).await;
    let retry = reply["err"]["retry_ms"].as_u64().unwrap_or(0);
    assert!(retry <= 101, "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_33rd_request_in_flight_is_refused() {
    let mut domain = Domain::new("acme");
    let anna = domain.user("+46701");
    let users: Vec<_> = (0..33).map(|n| domain.user(&format!("+4680{n:02}"))).collect();
    let bed = Bed::start(&[&domain], Options::default()).await;
    bed.fake.hold_posts();
    let mut client = bed.attach(&anna, "primary", "d").await;
    let mut ids = Vec::new();
    for (n, user) in users.iter().enumerate() {
        let mid = crs_types::MessageId::from_parts(NOW, [n as u8; 10]).to_string();
        let to = user.keys.identity.uri.as_str();
        ids.push(client.send("msg.post", json!({"mid": mid, "to": to, "body": ""})).await);
    }
    let last = ids.pop().unwrap();
    assert_eq!(client.reply(last).await["err"]["code"], "in-flight");
    bed.fake.release_posts(32);
    for id in ids {
        assert_eq!(client.reply(id).await["ok"], true);
    }
}

#[tokio::test]
async fn a_silent_client_is_pinged_and_cut() {
    let keep_alive_default =
        KeepAlive::Ws { interval: Duration::from_secs(60), grace: Duration::from_secs(10) };
    let (bed, anna) = bed_with(Settings { keep_alive_default, ..Settings::default() }).await;
    let mut answering = bed.attach(&anna, "primary", "a").await;
    tokio::time::pause();
    // Reading answers the ping by itself.
    assert!(matches!(answering.next_message().await, Some(Message::Ping(_))));
    assert!(matches!(answering.next_message().await, Some(Message::Ping(_))));
    assert_eq!(bed.context.directory.count(), 1);
    // Nobody reads any more: no pong.
    until_paused("the silent client is off", || bed.context.directory.count() == 0).await;
    assert_eq!(answering.closed().await, Some(4000));
}

/// Like `until`, in steps of a paused clock.
async fn until_paused(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} did not happen");
}

pub(super) fn call_state(size: usize) -> ServerEvent {
    let uri = Uri::parse("+46701").unwrap();
    ServerEvent::CallState(Box::new(CallState {
        session: SessionId::from_parts(NOW, [1; 10]),
        state: SessionState::Invite,
        from: uri.clone(),
        from_account: crs_types::AccountId::parse("acme").unwrap(),
        to: uri,
        offer: Some(Bytes64(vec![1; size])),
        answer: None,
        device: None,
        media: RelayKind::Rtp,
        reason: None,
        who: None,
        detail: None,
        stage: None,
    }))
}

/// Lets the connection's tasks do all they can without time passing.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// What the queue may hold and no more, besides what the kernel takes.
#[tokio::test]
async fn a_client_that_does_not_read_is_cut_at_the_bound() {
    // Both buffers of the kernel: ours, and what a client has before it asks for more.
    const KERNEL_MAX: usize = 2 * 128 * 1024 + 2 * 128 * 1024;
    const QUEUE: usize = 256 * 1024;
    let (bed, anna) = bed().await;
    let _client = bed.attach(&anna, "primary", "d").await;
    let handle = bed.context.directory.snapshot()[0].handle.clone();
    // In base64.
    let length = 16 * 1024 / 3 * 4;
    let mut sent = 0;
    while bed.context.directory.count() == 1 {
        sent += length;
        assert!(sent <= QUEUE + KERNEL_MAX, "{sent} bytes and never cut");
        assert!(handle.event(call_state(16 * 1024)).is_ok());
        settle().await;
    }
    assert!(sent > QUEUE, "cut after {sent} bytes");
}

/// More than the kernel takes and less than the queue holds: it is the time that cuts. To the
/// second: `a_slow_client_is_waited_for_and_one_that_takes_nothing_for_30_seconds_is_not`.
#[tokio::test]
async fn a_client_that_takes_nothing_for_30_seconds_is_cut() {
    let (bed, anna) = bed().await;
    let client = bed.attach(&anna, "primary", "d").await;
    let handle = bed.context.directory.snapshot()[0].handle.clone();
    let tcp = client.ws.get_ref().get_ref().0;
    socket2::SockRef::from(tcp).set_recv_buffer_size(4096).unwrap();
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    for _ in 0..18 {
        assert!(handle.event(call_state(16 * 1024)).is_ok());
        settle().await;
    }
    while bed.context.directory.count() == 1 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(began.elapsed() < 4 * WRITE_STALL_MAX, "never cut");
    }
    assert!(began.elapsed() >= WRITE_STALL_MAX, "cut after {:?}", began.elapsed());
    drop(client);
}
