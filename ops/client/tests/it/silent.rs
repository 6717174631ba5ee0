//! A server that is there and says nothing: every wait of the client has an end.

use std::time::Duration;

use crs_client::{Client, ClientError, Options};
use crs_proto::codec::Op;
use crs_proto::wire::lookup::{Found, Lookup};

use crate::server::{Fault, Server};

/// Far beyond what a run takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_request_that_is_not_answered_is_given_up() {
    let server = Server::start(2, &[("lookup", 1, Fault::Silent)]).await;
    let within = Duration::from_millis(50);
    let options = Options { request_timeout: within, ..Options::default() };
    let client = Client::with_identity(server.identity(0), options).await.unwrap();
    client.wait_attached(PATIENCE).await.unwrap();
    let lookup = || Op::Lookup(Lookup { uri: server.identity(1).uri });
    let late = client.request::<Found>(lookup()).await.unwrap_err();
    assert!(matches!(late, ClientError::Timeout(waited) if waited == within), "{late}");
    client.request::<Found>(lookup()).await.unwrap();
    client.close().await;
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_given_up() {
    let server = Server::start(1, &[]).await;
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = Options {
        servers: Some(vec![mute.local_addr().unwrap().to_string()]),
        connect_timeout: Duration::from_millis(100),
        ..Options::default()
    };
    let client = Client::with_identity(server.identity(0), options).await.unwrap();
    let failed = loop {
        if let Some(crs_client::Event::Disconnected { why, .. }) = client.next_event().await {
            break why;
        }
    };
    assert_eq!(failed, "no answer within 0.1 s");
    client.close().await;
}
