//! A server that does not let the client in: said at once, tried again slowly.

use std::time::Duration;

use crs_client::core::backoff::REFUSED_BASE;
use crs_client::{Client, ClientError, Event, Identity, Options};

use crate::server::{Fault, Server};

/// Far longer than the test may take: an error that comes at its end is not at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// The error of waiting, and the words of the pause that follows.
async fn refused(identity: Identity) -> (ClientError, u64) {
    let client = Client::with_identity(identity, Options::default()).await.unwrap();
    let error = client.wait_attached(PATIENCE).await.unwrap_err();
    assert!(client.status().refused, "{error}");
    let pause = async {
        loop {
            if let Some(Event::Disconnected { retry_ms, .. }) = client.next_event().await {
                return retry_ms;
            }
        }
    };
    let pause = tokio::time::timeout(PATIENCE, pause).await.unwrap();
    let to = crs_types::Uri::parse("+46700000001").unwrap();
    let unsent = client.send_confirmed(&to, b"hello", PATIENCE).await.unwrap_err();
    assert!(matches!(unsent, ClientError::NotAdmitted { .. }), "{unsent}");
    assert_eq!(client.status().outbox, 1, "the message waits");
    client.close().await;
    (error, pause)
}

#[tokio::test]
async fn a_denied_registration() {
    let server = Server::start(1, &[("attach", 1, Fault::Denied)]).await;
    let (error, pause) = refused(server.identity(0)).await;
    assert!(matches!(error, ClientError::NotAdmitted { .. }), "{error}");
    assert!(error.to_string().contains("denied (blacklisted): the user is blocked"), "{error}");
    assert!(u128::from(pause) <= REFUSED_BASE.as_millis());
}

#[tokio::test]
async fn a_refused_certificate() {
    let (server, other) = (Server::start(1, &[]).await, Server::start(1, &[]).await);
    let mut identity = other.identity(0);
    identity.servers = server.identity(0).servers;
    identity.trust = server.identity(0).trust;
    let (error, pause) = refused(identity).await;
    assert!(matches!(error, ClientError::NotAdmitted { .. }), "{error}");
    assert!(error.to_string().contains("refuses this client's certificate"), "{error}");
    assert!(u128::from(pause) <= REFUSED_BASE.as_millis());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_no_refusal() {
    let server = Server::start(1, &[]).await;
    let mut identity = server.identity(0);
    identity.servers = vec!["127.0.0.1:1".to_owned()];
    let client = Client::with_identity(identity, Options::default()).await.unwrap();
    let error = client.wait_attached(Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }), "{error}");
    assert!(!client.status().refused);
    client.close().await;
}
