//! Time, size and number of handshakes.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::super::{FD_RESERVE, HANDSHAKE_TIMEOUT};
use crate::settings::{LimitSettings, Settings};
use crate::testing::{Bed, Client, Domain, Options, User, config, until};

async fn bed(options: Options) -> (Bed, User) {
    let mut acme = Domain::new("acme");
    let anna = acme.user("+46701");
    (Bed::start(&[&acme], options).await, anna)
}

/// The HTTP status of an upgrade request, sent as it is.
async fn status(bed: &Bed, user: &User, request: &[u8]) -> String {
    let mut tls = Client::tls(bed, config(bed, Some(user))).await.unwrap();
    tls.write_all(request).await.unwrap();
    let mut answer = [0; 32];
    tls.read_exact(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn silence_is_dropped_after_ten_seconds_wherever_it_begins() {
    let (bed, anna) = bed(Options::default()).await;
    // Nothing at all; the start of a ClientHello; TLS, but half a request.
    let mut silent = TcpStream::connect(bed.addr).await.unwrap();
    let mut started = TcpStream::connect(bed.addr).await.unwrap();
    started.write_all(&[0x16, 3, 1, 1, 0, 1]).await.unwrap();
    let mut tls = Client::tls(&bed, config(&bed, Some(&anna))).await.unwrap();
    tls.write_all(b"GET /crs/v1 HT").await.unwrap();
    until("three are being served", || bed.capacity.count() == 3).await;
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    assert_eq!(silent.read(&mut [0; 16]).await.unwrap_or(0), 0);
    assert_eq!(started.read(&mut [0; 16]).await.unwrap_or(0), 0);
    assert_eq!(tls.read(&mut [0; 16]).await.unwrap_or(0), 0);
    until("all places are free", || bed.capacity.count() == 0).await;
    assert!(began.elapsed() <= HANDSHAKE_TIMEOUT + Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_upgrades_get_their_status() {
    let (bed, anna) = bed(Options::default()).await;
    for (request, expected) in [
        (&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], "404"),
        (b"POST /crs/v1 HTTP/1.1\r\nHost: a\r\n\r\n", "405"),
        (b"GET /crs/v1 HTTP/1.1\r\nHost: a\r\n\r\n", "426"),
        (b"GARBAGE\r\n\r\n", "400"),
        (&vec![b'x'; 9000], "431"),
    ] {
        assert_eq!(status(&bed, &anna, request).await, expected);
    }
    // One byte at a time is slow, not wrong.
    let mut tls = Client::tls(&bed, config(&bed, Some(&anna))).await.unwrap();
    for byte in b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n" {
        tls.write_all(&[*byte]).await.unwrap();
        tls.flush().await.unwrap();
    }
    let mut answer = String::new();
    tls.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

/// Whoever sends a body first and then looks for the answer finds the status, not a reset; whoever
/// sends without end is cut.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upgrade_is_read_to_a_limit() {
    let (bed, anna) = bed(Options::default()).await;
    let head = b"POST /crs/v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
    let whole = [&head[..], &[b'b'; 1_000_000]].concat();
    assert_eq!(status(&bed, &anna, &whole).await, "405");
    let mut tls = Client::tls(&bed, config(&bed, Some(&anna))).await.unwrap();
    tls.write_all(head).await.unwrap();
    let mut sent = 0;
    while tls.write_all(&[b'b'; 16 * 1024]).await.is_ok() {
        sent += 16 * 1024;
        assert!(sent < 64 << 20, "never cut");
    }
    until("all places are free", || bed.capacity.count() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accepting_pauses_at_the_limit_and_goes_on() {
    let options = Options { fd_limit: FD_RESERVE + 2, ..Options::default() };
    let (bed, anna) = bed(options).await;
    let first = bed.connect(&anna).await;
    let second = bed.connect(&anna).await;
    assert_eq!(bed.capacity.count(), 2);
    // The third waits in the backlog and is served once a place is free.
    let third = bed.connect(&anna);
    tokio::pin!(third);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut third).await;
    assert!(early.is_err(), "served beyond the limit");
    drop(first);
    let third = third.await;
    drop((second, third));
    until("all places are free", || bed.capacity.count() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_limit_of_connections_holds_and_may_be_raised() {
    let with = |connections| {
        let limits = LimitSettings { connections, ..LimitSettings::default() };
        Settings { limits, ..Settings::default() }
    };
    let (bed, anna) = bed(Options { settings: with(1), ..Options::default() }).await;
    let first = bed.connect(&anna).await;
    let second = bed.connect(&anna);
    tokio::pin!(second);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut second).await;
    assert!(early.is_err(), "served beyond the limit");
    // A place that is given back makes accepting look at the limit, which SIGHUP has raised.
    bed.context.reload(with(3));
    drop(first);
    let second = second.await;
    let third = bed.connect(&anna).await;
    drop((second, third));
}

#[tokio::test(flavor = "multi_thread")]
async fn accepting_pauses_while_too_many_handshakes_are_under_way() {
    let (bed, anna) = bed(Options { handshakes: 2, ..Options::default() }).await;
    let silent = from("127.0.1.1", &bed).await;
    let _other = from("127.0.2.1", &bed).await;
    until("two handshakes are under way", || bed.capacity.count() == 2).await;
    let third = bed.connect(&anna);
    tokio::pin!(third);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut third).await;
    assert!(early.is_err(), "served beyond the limit");
    drop(silent);
    third.await;
}

/// Connections that say nothing have half of the places, when all come from one network; whoever
/// has attached does not count.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_network_leaves_places_for_others() {
    let (bed, anna) = bed(Options { handshakes: 16, ..Options::default() }).await;
    let mut waiting = Vec::new();
    for _ in 0..10 {
        waiting.push(bed.connect(&anna).await);
    }
    let mut silent = Vec::new();
    for n in 1..=6 {
        silent.push(from(&format!("127.0.1.{n}"), &bed).await);
    }
    until("six handshakes are under way", || bed.capacity.count() == 16).await;
    // Ten could run, and as many of this network have not attached.
    assert!(is_refused(from("127.0.0.1", &bed).await).await);
    for (n, client) in waiting.iter_mut().take(6).enumerate() {
        let role = if n < 5 { "secondary" } else { "primary" };
        let reply = client.ask("attach", json!({"role": role, "device": format!("d{n}")})).await;
        assert_eq!(reply["ok"], true, "{reply}");
    }
    let _further = bed.connect(&anna).await;
    for n in 7..=8 {
        silent.push(from(&format!("127.0.1.{n}"), &bed).await);
    }
    until("eight handshakes are under way", || bed.capacity.count() == 19).await;
    assert!(is_refused(from("127.0.1.9", &bed).await).await);
}

/// A connection to the listener from an address of one's choice.
async fn from(ip: &str, bed: &Bed) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((ip.parse::<IpAddr>().unwrap(), 0).into()).unwrap();
    socket.connect(bed.addr).await.unwrap()
}

/// Closed unread.
async fn is_refused(mut stream: TcpStream) -> bool {
    stream.read(&mut [0; 1]).await.unwrap_or(0) == 0
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_handshakes_count_and_good_ones_do_not() {
    let limits = LimitSettings { failed_handshakes_per_minute: 3, ..LimitSettings::default() };
    let settings = Settings { limits, ..Settings::default() };
    let (bed, anna) = bed(Options { settings, limit_loopback: true, ..Options::default() }).await;
    for _ in 0..10 {
        bed.connect(&anna).await;
    }
    for _ in 0..3 {
        let _ = Client::connect(&bed, None).await;
        until("the handshake is over", || bed.capacity.count() == 0).await;
    }
    let mut refused = TcpStream::connect(bed.addr).await.unwrap();
    assert_eq!(refused.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert!(Client::tls(&bed, config(&bed, Some(&anna))).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_cut_at_every_byte_frees_its_place() {
    let (bed, anna) = bed(Options::default()).await;
    // Record what a client sends first, then replay every prefix of it.
    let mut client = rustls::ClientConnection::new(
        std::sync::Arc::new(config(&bed, Some(&anna))),
        "localhost".try_into().unwrap(),
    )
    .unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    for cut in (0..hello.len()).step_by(37) {
        let mut tcp = TcpStream::connect(bed.addr).await.unwrap();
        tcp.write_all(&hello[..cut]).await.unwrap();
    }
    until("all places are free", || bed.capacity.count() == 0).await;
    bed.connect(&anna).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_echo_is_there_only_when_turned_on() {
    for (echo, expected) in [(false, "404"), (true, "101")] {
        let (bed, anna) = bed(Options { echo, ..Options::default() }).await;
        let request = b"GET /crs/test/echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x88\x80\0\0\0\0";
        assert_eq!(status(&bed, &anna, request).await, expected);
    }
}
