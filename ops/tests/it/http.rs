//! `/metrics`, `/live` and `/ready` over a real socket.

use std::net::SocketAddr;

use crs_ops::server::{CONNECTION_LIFE, CONNECTIONS_MAX};
use crs_ops::{Health, HealthServer, Metrics, NotReady};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn get(addr: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn readiness_tells_why_not() {
    let health = Health::starting();
    let server = HealthServer::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = server.local_addr();
    let running = server.spawn(Metrics::default(), health.clone());

    let (status, body) = get(addr, "/ready").await;
    assert_eq!(status, 503);
    assert_eq!(
        body,
        r#"{"ready":false,"reasons":[{"code":"starting","text":"the node is starting"}]}"#
    );
    health.clear(NotReady::Starting);
    assert_eq!(get(addr, "/ready").await, (200, r#"{"ready":true,"reasons":[]}"#.to_owned()));
    assert_eq!(get(addr, "/live").await, (200, r#"{"live":true}"#.to_owned()));
    health.set(NotReady::StoreFailed, "fdatasync failed");
    assert_eq!(get(addr, "/live").await.0, 503);

    let (status, body) = get(addr, "/metrics").await;
    assert_eq!(status, 200);
    assert!(body.contains("crs_build_info{"), "{body}");
    assert_eq!(get(addr, "/other").await.0, 404);
    running.stop().await;
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn silent_peers_cannot_take_more_than_their_places() {
    let server = HealthServer::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = server.local_addr();
    let running = server.spawn(Metrics::default(), Health::starting());
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        silent.push(TcpStream::connect(addr).await.unwrap());
    }
    let waiting = get(addr, "/live");
    tokio::pin!(waiting);
    // All places are taken, so the answer cannot come before one is given back.
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("served beyond the limit"),
        () = async { for _ in 0..1000 { tokio::task::yield_now().await } } => {}
    }
    silent.pop();
    assert_eq!(waiting.await.0, 200);
    running.stop().await;
}

/// A peer that says nothing is closed after two minutes, and gives its place back.
#[tokio::test]
async fn a_connection_ends_with_its_life() {
    let server = HealthServer::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = server.local_addr();
    let running = server.spawn(Metrics::default(), Health::starting());
    // Before the connection is accepted, which is when its life begins.
    let began = tokio::time::Instant::now();
    let mut silent = TcpStream::connect(addr).await.unwrap();
    // Another one is answered, so the silent one has been accepted.
    assert_eq!(get(addr, "/live").await.0, 200);
    tokio::time::pause();
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert!(began.elapsed() >= CONNECTION_LIFE, "{:?}", began.elapsed());
    tokio::time::resume();
    running.stop().await;
}

/// Stopping does not wait for a request that never becomes whole.
#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let server = HealthServer::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = server.local_addr();
    let running = server.spawn(Metrics::default(), Health::starting());
    let mut half = TcpStream::connect(addr).await.unwrap();
    half.write_all(b"GET /live HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    assert_eq!(get(addr, "/live").await.0, 200);
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    running.stop().await;
    assert!(began.elapsed() <= std::time::Duration::from_secs(3), "{:?}", began.elapsed());
    drop(half);
}
