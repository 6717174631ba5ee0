//! Messages end to end: nothing lost, doubled or reordered, whatever is cut.

use std::time::Duration;

use crs_client::core::outbox::PLAIN_MAX;
use crs_client::profile::Profile;
use crs_client::{Client, Event, Options};

use crate::server::{Fault, Server, message_ops};

/// Far beyond what a run takes; only a client that hangs meets it.
const PATIENCE: Duration = Duration::from_secs(60);
const COUNT: usize = 20;

fn options() -> Options {
    Options { backoff_cap: Duration::from_millis(20), ..Options::default() }
}

/// The next `count` messages, each marked as dealt with.
async fn receive(client: &Client, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    let all = async {
        while texts.len() < count {
            let Some(Event::Message(message)) = client.next_event().await else { continue };
            texts.push(String::from_utf8(message.content.unwrap()).unwrap());
            client.done(message.seq).await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("all messages arrive");
    texts
}

async fn exchange(faults: &[(&'static str, u64, Fault)]) {
    let server = Server::start(2, faults).await;
    let alice = Client::with_identity(server.identity(0), options()).await.unwrap();
    let bob = Client::with_identity(server.identity(1), options()).await.unwrap();
    let to = server.identity(1).uri;
    let mut mids = Vec::new();
    for n in 0..COUNT {
        mids.push(alice.send(&to, format!("message {n}").as_bytes()).await.unwrap());
    }
    let expected: Vec<_> = (0..COUNT).map(|n| format!("message {n}")).collect();
    assert_eq!(receive(&bob, COUNT).await, expected, "{faults:?}");
    assert_eq!(*server.state.confirmed.lock().unwrap(), mids, "order of posts, {faults:?}");
    let settled = async {
        while server.waiting() > 0 || alice.status().outbox > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("acknowledged and confirmed");
    assert_eq!(server.faults_left(), 0, "every fault happened");
    alice.close().await;
    bob.close().await;
}

#[tokio::test]
async fn messages_arrive_in_order() {
    exchange(&[]).await;
}

#[tokio::test]
async fn every_request_cut_before_and_after_it_was_carried_out() {
    for op in message_ops() {
        for fault in [Fault::Before, Fault::After, Fault::Unavailable] {
            exchange(&[(op, 1, fault)]).await;
        }
    }
}

#[tokio::test]
async fn many_faults_in_a_row() {
    let mut faults = Vec::new();
    for n in 1..8 {
        faults.push((
            "msg.post",
            n,
            [Fault::After, Fault::Unavailable, Fault::Before][n as usize % 3],
        ));
    }
    faults.push(("msg.ack", 1, Fault::After));
    faults.push(("msg.fetch", 2, Fault::After));
    faults.push(("lookup", 1, Fault::After));
    faults.push(("attach", 1, Fault::After));
    exchange(&faults).await;
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused() {
    let server = Server::start(2, &[]).await;
    let alice = Client::with_identity(server.identity(0), options()).await.unwrap();
    let to = server.identity(1).uri;
    let refused = alice.send(&to, &vec![b'x'; PLAIN_MAX + 1]).await.unwrap_err();
    assert!(refused.to_string().contains(&PLAIN_MAX.to_string()), "{refused}");
    alice.send(&to, &vec![b'x'; PLAIN_MAX]).await.unwrap();
    alice.close().await;
}

#[tokio::test]
async fn an_unknown_receiver_is_told() {
    let server = Server::start(1, &[]).await;
    let alice = Client::with_identity(server.identity(0), options()).await.unwrap();
    let nobody = crs_types::Uri::parse("+46799999999").unwrap();
    let refused = alice.send_confirmed(&nobody, b"hello", PATIENCE).await.unwrap_err();
    assert!(refused.to_string().contains("not-found"), "{refused}");
    alice.close().await;
}

#[tokio::test]
async fn a_profile_survives_a_restart_with_its_outbox_and_inbox() {
    let server = Server::start(2, &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let (alice_dir, bob_dir) = (folder.path().join("alice"), folder.path().join("bob"));
    drop(Profile::create(&alice_dir, server.identity(0)).unwrap());
    drop(Profile::create(&bob_dir, server.identity(1)).unwrap());
    let to = server.identity(1).uri;
    // Nobody listens there: the message stays in the outbox.
    let away = Options { servers: Some(vec!["127.0.0.1:1".to_owned()]), ..options() };
    let alice = Client::open(&alice_dir, away).await.unwrap();
    alice.send(&to, b"written without a connection").await.unwrap();
    let second = Client::open(&alice_dir, options()).await.unwrap_err();
    assert!(second.to_string().contains("in use by another"), "{second}");
    alice.close().await;

    let alice = Client::open(&alice_dir, options()).await.unwrap();
    let bob = Client::open(&bob_dir, options()).await.unwrap();
    let text = async {
        loop {
            if let Some(Event::Message(message)) = bob.next_event().await {
                return message;
            }
        }
    };
    let message = tokio::time::timeout(PATIENCE, text).await.unwrap();
    assert_eq!(message.content.as_deref(), Ok(&b"written without a connection"[..]));
    // The application has not dealt with it: it is handed out again, from disk.
    bob.close().await;
    let away = Options { servers: Some(vec!["127.0.0.1:1".to_owned()]), ..options() };
    let bob = Client::open(&bob_dir, away).await.unwrap();
    assert_eq!(receive(&bob, 1).await, ["written without a connection"]);
    bob.close().await;
    let away = Options { servers: Some(vec!["127.0.0.1:1".to_owned()]), ..options() };
    let bob = Client::open(&bob_dir, away).await.unwrap();
    let more = async {
        loop {
            match bob.next_event().await {
                Some(Event::Disconnected { .. }) => return false,
                Some(Event::Message(_)) => return true,
                Some(_) | None => {}
            }
        }
    };
    assert!(!tokio::time::timeout(PATIENCE, more).await.unwrap(), "handed out twice");
    bob.close().await;
    alice.close().await;
}

/// Every user of the account has keys that the CMS vouches for: the client must look at whose
/// they are, or a lying server reads along with the help of any user.
#[tokio::test]
async fn a_server_that_answers_with_somebody_elses_keys_gets_nothing() {
    let server = Server::start(3, &[]).await;
    let alice = Client::with_identity(server.identity(0), options()).await.unwrap();
    let bob = server.identity(1).uri;
    server.redirect_to(2);
    alice.wait_attached(PATIENCE).await.unwrap();
    let lookup = alice.lookup(&bob).await.expect_err("not Bob's keys");
    assert!(lookup.to_string().contains("when asked for"), "{lookup}");
    let call = alice.call(&bob, crs_client::CallMedia::default()).await;
    assert!(call.is_err(), "{call:?}");
    let within = Duration::from_millis(500);
    let sent = alice.send_confirmed(&bob, b"for bob's eyes only", within).await;
    assert!(sent.is_err(), "{sent:?}");
    assert_eq!(server.waiting(), 0, "nothing left the client");
}

/// More than the events that may wait for the application.
#[tokio::test]
async fn messages_wait_for_an_application_that_does_not_read() {
    const MANY: usize = 300;
    let server = Server::start(2, &[]).await;
    let alice = Client::with_identity(server.identity(0), options()).await.unwrap();
    let bob = Client::with_identity(server.identity(1), options()).await.unwrap();
    let to = server.identity(1).uri;
    for n in 0..MANY {
        alice.send(&to, format!("message {n}").as_bytes()).await.unwrap();
    }
    let settled = async {
        while server.waiting() > 0 || alice.status().outbox > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("all are on the receiver's disk");
    let expected: Vec<_> = (0..MANY).map(|n| format!("message {n}")).collect();
    assert_eq!(receive(&bob, MANY).await, expected);
    // What the sender did not read were only notices.
    assert!(alice.status().dropped_events > 0);
    bob.close().await;
    alice.close().await;
}

/// As it would be with a server gone mad.
#[tokio::test]
async fn a_frame_over_the_limit_costs_the_connection_and_no_message() {
    exchange(&[("msg.fetch", 1, Fault::TooLong), ("msg.post", 3, Fault::TooLong)]).await;
}
