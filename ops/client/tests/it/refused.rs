//! A server that does not let the client in: said at once, tried again slowly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crs_client::core::backoff::REFUSED_BASE;
use crs_client::{Client, ClientError, Event, Identity, Options};
use crs_proto::wire::call::{CallState, HangupReason};
use crs_proto::wire::life::UnregisteredReason;
use crs_types::{Clock, Mono, SystemClock, Timestamp, Uri};

use crate::lies::invite;
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
            if let Some(Event::Disconnected { retry_ms: Some(retry_ms), .. }) =
                client.next_event().await
            {
                return retry_ms;
            }
        }
    };
    let pause = tokio::time::timeout(PATIENCE, pause).await.unwrap();
    let to = Uri::parse("+46700000001").unwrap();
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

/// Intervals stand still until they are moved.
#[derive(Clone)]
struct Hours(Arc<AtomicU64>, Arc<SystemClock>);

impl Clock for Hours {
    fn now(&self) -> Timestamp {
        self.1.now()
    }

    fn mono(&self) -> Mono {
        Mono::from_micros(3_600_000_000 * (1 + self.0.load(Ordering::SeqCst)))
    }
}

/// The next event but those that tell of keys and the like.
async fn next(client: &Client) -> Event {
    tokio::time::timeout(PATIENCE, client.next_event()).await.unwrap().unwrap()
}

fn ringing(server: &Server) -> CallState {
    invite(server, server.keys(1), 0)
}

/// A blocked user is back when the operator lets him in again, without anybody at the phone.
#[tokio::test]
async fn a_registration_that_the_operator_ends_is_tried_again_slowly() {
    for reason in [UnregisteredReason::Blacklisted, UnregisteredReason::AccountDeleted] {
        let server = Server::start(2, &[("attach", 1, Fault::Ended(reason))]).await;
        server.state.ringing.lock().unwrap().push(ringing(&server));
        let clock = Hours(Arc::default(), Arc::new(SystemClock::new()));
        let options = Options { clock: Arc::new(clock.clone()), ..Options::default() };
        let client = Client::with_identity(server.identity(0), options).await.unwrap();
        assert!(matches!(next(&client).await, Event::Attached { .. }));
        assert!(matches!(next(&client).await, Event::Incoming(_)));
        assert_eq!(next(&client).await, Event::Unregistered { reason });
        let ended = next(&client).await;
        let why = Some(HangupReason::NotAllowed);
        assert!(matches!(ended, Event::CallEnded { reason, .. } if reason == why), "{ended:?}");
        let Event::Disconnected { why, retry_ms: Some(pause) } = next(&client).await else {
            panic!("it tries again")
        };
        assert!(why.starts_with("unregistered: "), "{why}");
        assert!(u128::from(pause) <= REFUSED_BASE.as_millis(), "{pause}");
        assert!(client.status().refused, "as after a denial");
        server.state.ringing.lock().unwrap().clear();
        clock.0.fetch_add(1, Ordering::SeqCst);
        // Anything that is asked makes the client look at its clock.
        let _ = client.lookup(&Uri::parse("+46700000009").unwrap()).await;
        assert!(matches!(next(&client).await, Event::Attached { .. }), "an hour later");
        client.close().await;
    }
}

/// Coming back would only push the other device out.
#[tokio::test]
async fn a_device_that_was_replaced_stays_away_and_says_so() {
    let replaced = UnregisteredReason::Replaced;
    let server = Server::start(1, &[("attach", 1, Fault::Ended(replaced))]).await;
    let client = Client::with_identity(server.identity(0), Options::default()).await.unwrap();
    assert!(matches!(next(&client).await, Event::Attached { .. }));
    assert_eq!(next(&client).await, Event::Unregistered { reason: replaced });
    let why = "unregistered: replaced".to_owned();
    assert_eq!(next(&client).await, Event::Disconnected { why, retry_ms: None });
    client.close().await;
}

#[tokio::test]
async fn a_node_that_drains_is_named_when_nothing_else_came_in_time() {
    let faults: Vec<_> = (1..50).map(|n| ("attach", n, Fault::Draining)).collect();
    let server = Server::start(1, &faults).await;
    let client = Client::with_identity(server.identity(0), Options::default()).await.unwrap();
    while !matches!(next(&client).await, Event::Disconnected { .. }) {}
    let error = client.wait_attached(Duration::from_millis(1)).await.unwrap_err();
    assert!(error.to_string().contains("node-drain"), "{error}");
    client.close().await;
}

/// The end of the registration may be lost with the connection; the denial says the same.
#[tokio::test]
async fn a_client_that_is_denied_when_it_comes_back_has_no_calls_any_more() {
    let faults = [("attach", 2, Fault::Denied), ("call.ringing", 1, Fault::Before)];
    let server = Server::start(2, &faults).await;
    server.state.ringing.lock().unwrap().push(ringing(&server));
    let client = Client::with_identity(server.identity(0), Options::default()).await.unwrap();
    assert!(matches!(next(&client).await, Event::Attached { .. }));
    assert!(matches!(next(&client).await, Event::Incoming(_)));
    assert!(matches!(next(&client).await, Event::Disconnected { .. }), "in the middle of it");
    assert!(matches!(next(&client).await, Event::Denied { .. }));
    let ended = next(&client).await;
    let why = Some(HangupReason::NotAllowed);
    assert!(matches!(ended, Event::CallEnded { reason, .. } if reason == why), "{ended:?}");
    client.close().await;
}
