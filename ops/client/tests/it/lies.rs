//! A server that lies: about who calls, about who writes, about who somebody is.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crs_client::profile::{self, Profile};
use crs_client::{Client, ClientError, Event, Options, ReceivedMessage};
use crs_keys::account_ca::AccountCa;
use crs_keys::call::{self, CallRoute};
use crs_keys::package::UserKeys;
use crs_keys::srtp;
use crs_proto::codec::Op;
use crs_proto::wire::Bytes64;
use crs_proto::wire::call::{CallState, HangupReason, SessionState};
use crs_proto::wire::relay::RelayKind;
use crs_types::{AccountId, Clock, OsRng, Rng, SessionId, SystemClock, Uri};

use crate::server::{Lie, Server, issue};

/// Far beyond what a run takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn options() -> Options {
    Options { backoff_cap: Duration::from_millis(20), ..Options::default() }
}

/// The first event that is wanted, and how many calls and changes were told before it.
async fn until<T>(client: &Client, wanted: impl Fn(&Event) -> Option<T>) -> (T, Vec<Event>) {
    let mut before = Vec::new();
    let look = async {
        loop {
            let event = client.next_event().await.expect("the client lives");
            if let Some(found) = wanted(&event) {
                return found;
            }
            before.push(event);
        }
    };
    let found = tokio::time::timeout(PATIENCE, look).await.expect("the event comes");
    (found, before)
}

fn message(event: &Event) -> Option<ReceivedMessage> {
    if let Event::Message(message) = event { Some(message.clone()) } else { None }
}

/// A call from `caller` to user `n`, signed with `caller`'s key.
pub(crate) fn invite(server: &Server, caller: &UserKeys, n: usize) -> CallState {
    let now = SystemClock::new().now();
    let session = SessionId::from_parts(now, OsRng.bytes());
    let (from_account, from) = (caller.identity.account.clone(), caller.identity.uri.clone());
    let to = server.keys(n).identity.uri.clone();
    let route = CallRoute {
        session,
        from_account: from_account.clone(),
        from: from.clone(),
        to: to.clone(),
    };
    let profiles = srtp::Profile::ALL;
    let offer = call::offer(route, b"", &profiles, caller, &mut OsRng, now).unwrap();
    CallState {
        session,
        state: SessionState::Invite,
        from,
        from_account,
        to,
        offer: Some(Bytes64(offer.offer.clone())),
        answer: None,
        device: None,
        media: RelayKind::Rtp,
        reason: None,
        who: None,
        detail: None,
        stage: None,
    }
}

/// An authority that nobody has named.
fn stranger(name: &str) -> AccountCa {
    let account = AccountId::parse(name).unwrap();
    AccountCa::generate(account, &mut OsRng, SystemClock::new().now()).unwrap()
}

/// Calls that must not ring, each with the word that the caller is told.
fn bad_calls(server: &Server) -> Vec<(CallState, &'static str)> {
    let good = |n: usize| invite(server, server.keys(n), 0);
    let garbage = CallState { offer: Some(Bytes64(vec![0xff; 200])), ..good(1) };
    let other_session = CallState { session: good(1).session, ..good(1) };
    let other_caller = CallState { from: server.keys(2).identity.uri.clone(), ..good(1) };
    let mut changed = good(1);
    let offer = changed.offer.as_mut().unwrap();
    // The body is signed; this is within it.
    let middle = offer.0.len() / 3;
    offer.0[middle] ^= 1;
    let acme = server.keys(1).identity.account.clone();
    let forged = invite(server, &issue(&stranger("acme"), &acme, 1), 0);
    let strangers = stranger("unheard-of");
    let unknown = invite(server, &issue(&strangers, strangers.account(), 1), 0);
    vec![
        (garbage, "bad-offer"),
        (other_session, "bad-offer"),
        (other_caller, "bad-offer"),
        (changed, "bad-signature"),
        (forged, "bad-signature"),
        (unknown, "no-keys"),
        // This number has called before, as a user of acme.
        (invite(server, &server.rivals[1], 0), "no-keys"),
    ]
}

#[tokio::test]
async fn a_call_with_a_forged_offer_is_refused_by_name_and_nothing_rings() {
    let server = Server::start(3, &[]).await;
    let called = Client::with_identity(server.identity(0), options()).await.unwrap();
    called.wait_attached(PATIENCE).await.unwrap();
    let incoming = |event: &Event| {
        if let Event::Incoming(call) = event { Some(call.session) } else { None }
    };
    let first = invite(&server, server.keys(1), 0);
    server.ring(first.clone());
    assert_eq!(until(&called, incoming).await.0, first.session, "a good one rings");
    let bad = bad_calls(&server);
    for (state, _) in &bad {
        server.ring(state.clone());
    }
    let last = invite(&server, server.keys(2), 0);
    server.ring(last.clone());
    let (session, before) = until(&called, incoming).await;
    assert_eq!(session, last.session, "none of the bad ones rang");
    let ended = before.iter().any(|event| matches!(event, Event::CallEnded { .. }));
    assert!(!ended, "the application hears nothing of them: {before:?}");
    called.close().await;

    let asked = server.state.calls.lock().unwrap().clone();
    let rang = asked
        .iter()
        .filter_map(|op| if let Op::Ringing(ringing) = op { Some(ringing.session) } else { None });
    assert_eq!(rang.collect::<Vec<_>>(), [first.session, last.session]);
    let told = asked.into_iter().filter_map(|op| {
        let Op::Hangup(hangup) = op else { return None };
        Some((hangup.session, hangup.reason, hangup.detail))
    });
    let error = |(state, word): (CallState, &str)| {
        (state.session, HangupReason::Error, Some(word.to_owned()))
    };
    assert_eq!(told.collect::<Vec<_>>(), bad.into_iter().map(error).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_connected_account_does_not_vouch_for_users_of_another() {
    let server = Server::start(2, &[]).await;
    let alice = Client::with_identity(server.identity(0), options()).await.unwrap();
    alice.wait_attached(PATIENCE).await.unwrap();
    let bob = server.identity(1).uri;
    // The rival's authority certifies a user of ours: its own account's users it may certify.
    let acme = server.keys(1).identity.account.clone();
    let mut forged = server.rivals[1].clone();
    forged.identity.account = acme.clone();
    *server.state.lie.lock().unwrap() = Some(Lie(forged));
    let refused = alice.lookup(&bob).await.unwrap_err();
    assert!(matches!(refused, ClientError::Crypto { .. }), "{refused}");
    *server.state.lie.lock().unwrap() = Some(Lie(issue(&stranger("acme"), &acme, 1)));
    let refused = alice.lookup(&bob).await.unwrap_err();
    assert!(matches!(refused, ClientError::Crypto { .. }), "{refused}");
    assert_eq!(alice.contacts().await.unwrap(), [], "who was not verified is not known");
    alice.close().await;
}

fn is_changed(error: &ClientError) -> bool {
    matches!(error, ClientError::ContactChanged { known, named, .. }
        if known.as_str() == "acme" && named.as_str() == "rival")
}

#[tokio::test]
async fn a_contact_stays_of_its_account_until_a_person_accepts_another_one() {
    let server = Server::start(2, &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alice");
    drop(Profile::create(&path, server.identity(0)).unwrap());
    let (bob, rival) = (server.identity(1).uri, server.rivals[1].identity.account.clone());
    let alice = Client::open(&path, options()).await.unwrap();
    alice.wait_attached(PATIENCE).await.unwrap();
    alice.lookup(&bob).await.unwrap();
    // The number is now said to be of a user whom a connected account vouches for.
    *server.state.lie.lock().unwrap() = Some(Lie(server.rivals[1].clone()));
    let refused = alice.lookup(&bob).await.unwrap_err();
    assert!(is_changed(&refused), "{refused}");
    let changed = |event: &Event| {
        let Event::ContactChanged { uri, known, named } = event else { return None };
        Some((uri.clone(), known.to_string(), named.to_string()))
    };
    let told = until(&alice, changed).await.0;
    assert_eq!(told, (bob.clone(), "acme".to_owned(), "rival".to_owned()));
    let unsent = alice.send_confirmed(&bob, b"for bob's eyes only", PATIENCE).await.unwrap_err();
    assert!(matches!(&unsent, ClientError::Refused { code, .. } if code == "contact-changed"));
    let call = alice.call(&bob, crs_client::CallMedia::default()).await.unwrap_err();
    assert!(is_changed(&call), "{call}");
    assert_eq!(server.waiting(), 0, "nothing left the client");
    alice.close().await;

    // Also after a restart, until somebody says that it is right.
    let alice = Client::open(&path, options()).await.unwrap();
    alice.wait_attached(PATIENCE).await.unwrap();
    assert!(is_changed(&alice.lookup(&bob).await.unwrap_err()));
    alice.accept_contact(&bob, &rival).await.unwrap();
    assert_eq!(alice.lookup(&bob).await.unwrap().account, rival);
    let own = alice.accept_contact(&server.identity(0).uri, &rival).await.unwrap_err();
    assert!(own.to_string().contains("your own number"), "{own}");
    alice.close().await;
    assert_eq!(profile::contacts::list(&path).unwrap(), [(bob, rival)]);
}

#[tokio::test]
async fn messages_of_a_contact_with_another_account_wait_until_it_is_accepted() {
    let server = Server::start(2, &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bob");
    drop(Profile::create(&path, server.identity(1)).unwrap());
    let bob = Client::open(&path, options()).await.unwrap();
    server.deliver_as(server.keys(0), 1, "from alice");
    let (first, _) = until(&bob, message).await;
    assert_eq!(first.content.as_deref(), Ok(&b"from alice"[..]));
    bob.done(first.seq).await.unwrap();
    server.deliver_as(&server.rivals[0], 1, "from somebody with her number");
    server.deliver_as(server.keys(0), 1, "from alice again");
    let (second, before) = until(&bob, message).await;
    assert_eq!(second.content.as_deref(), Ok(&b"from alice again"[..]), "the other one waits");
    assert!(before.iter().any(|event| matches!(event, Event::ContactChanged { .. })), "{before:?}");
    bob.done(second.seq).await.unwrap();
    bob.close().await;

    // It is not lost by a restart, nor handed out by one.
    let (alice, rival) = (first.from.clone(), server.rivals[0].identity.account.clone());
    let bob = Client::open(&path, options()).await.unwrap();
    bob.wait_attached(PATIENCE).await.unwrap();
    bob.accept_contact(&alice, &rival).await.unwrap();
    let (third, before) = until(&bob, message).await;
    assert_eq!(third.content.as_deref(), Ok(&b"from somebody with her number"[..]));
    assert_eq!(third.account, rival);
    assert!(before.iter().any(|event| matches!(event, Event::ContactChanged { .. })), "{before:?}");
    bob.done(third.seq).await.unwrap();
    bob.close().await;
}

/// What the program says, with a profile that no other program has open.
fn said(profile: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_crs-client"))
        .arg("--profile")
        .arg(profile)
        .args(arguments)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn the_program_lists_contacts_and_accepts_another_account() {
    let server = Server::start(2, &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alice");
    drop(Profile::create(&path, server.identity(0)).unwrap());
    assert_eq!(said(&path, &["contacts"]), (true, "no contacts yet\n".to_owned()));
    let bob = Uri::parse("+46700000001").unwrap().to_string();
    let accepted = said(&path, &["contacts", "accept", &bob, "rival"]);
    assert_eq!(accepted, (true, format!("{bob} is of account rival from now on\n")));
    assert_eq!(said(&path, &["contacts"]), (true, format!("{bob}  rival\n")));
    let (done, why) = said(&path, &["contacts", "accept", "+46700000000", "rival"]);
    assert!(!done && why.contains("your own number"), "{why}");
    let alice = Client::open(&path, options()).await.unwrap();
    let (done, why) = said(&path, &["contacts"]);
    assert!(!done && why.contains("in use by another crs-client"), "{why}");
    alice.close().await;
}
