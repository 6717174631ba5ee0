//! How calls end: each outcome as caller, callee and operator see it; which device wins.

use std::time::Duration;

use crs_client::{CallMedia, Event};
use crs_proto::codec::Op;
use crs_proto::wire::Bytes64;
use crs_proto::wire::call::{CallState, HangupReason, Invite, SessionState, Who};
use crs_proto::wire::life::Role;
use crs_proto::wire::relay::RelayKind;
use crs_types::{Clock, SessionId, SystemClock, Uri};

use super::bed::{self, Trace, answer, call, report};
use crate::bed::{rings, until};

fn silent() -> CallMedia {
    CallMedia::default()
}

fn nobody() -> Uri {
    Uri::parse("+46799999999").expect("a number")
}

/// Why the call that rang at a client ended.
async fn ended(client: &crs_client::Client, session: SessionId) -> Option<HangupReason> {
    until(client, |event| {
        let Event::CallEnded { session: of, reason } = event else { return None };
        (*of == session).then_some(*reason)
    })
    .await
}

#[tokio::test]
async fn calls_that_nobody_takes_say_why() {
    let bed = bed::node(3).await;
    let (alice, bob) = (bed::client(&bed, 0).await, bed::client(&bed, 1).await);
    let to = bed.users.identities[1].uri.clone();
    let absent = bed.users.identities[2].uri.clone();
    let mut trace = Trace::start(&bed, &alice, &absent).await;

    for reason in [HangupReason::Declined, HangupReason::Busy] {
        let calling = call(&alice, &to, silent());
        let session = rings(&bob).await;
        assert_eq!(trace.states(session, "ringing").await, ["invite", "ringing"]);
        bob.hangup(session, reason).await.expect("bob hangs up");
        assert_eq!(ended(&bob, session).await, Some(reason));
        let report = report(calling).await;
        assert_eq!((report.state, report.reason), (SessionState::Hangup, reason));
        assert_eq!((report.who, report.answered), (Some(Who::Callee), false));
        let word = if reason == HangupReason::Busy { "busy" } else { "declined" };
        let states = trace.states(session, "hangup").await;
        assert_eq!(states, [format!("hangup({word}; callee)")]);
    }

    let calling = call(&alice, &to, silent());
    let session = rings(&bob).await;
    trace.states(session, "ringing").await;
    alice.hangup(session, HangupReason::Normal).await.expect("alice gives up");
    assert_eq!(ended(&bob, session).await, Some(HangupReason::Cancelled));
    let cancelled = report(calling).await;
    assert_eq!((cancelled.reason, cancelled.who), (HangupReason::Cancelled, Some(Who::Caller)));
    assert_eq!(trace.states(session, "hangup").await, ["hangup(cancelled; caller)"]);

    let unreached = report(call(&alice, &absent, silent())).await;
    assert_eq!(unreached.state, SessionState::ResponderNotConnected);
    let states = trace.states(unreached.session, "responder").await;
    assert_eq!(states.last().map(String::as_str), Some("responder not connected"));

    let unknown = alice.call(&nobody(), silent()).await.expect_err("no such user");
    assert!(unknown.to_string().contains("not-found"), "{unknown}");
    bed.end().await.expect("the node ends");
}

#[tokio::test]
async fn the_first_device_that_answers_takes_the_call() {
    let bed = bed::node(3).await;
    let alice = bed::client(&bed, 0).await;
    let (phone, laptop) = {
        let identity = bed::identity(&bed, 1, &bed.server);
        let phone = bed::attach(identity.clone(), Role::Primary, "phone").await;
        (phone, bed::attach(identity, Role::Secondary, "laptop").await)
    };
    let absent = bed.users.identities[2].uri.clone();
    let mut trace = Trace::start(&bed, &alice, &absent).await;
    let to = bed.users.identities[1].uri.clone();

    let talk = CallMedia { duration: Some(Duration::from_secs(1)), ..silent() };
    let calling = call(&alice, &to, talk);
    let session = rings(&phone).await;
    assert_eq!(rings(&laptop).await, session, "both ring");
    let talking = answer(&laptop, session, silent());
    assert_eq!(ended(&phone, session).await, Some(HangupReason::AnsweredElsewhere));
    assert!(phone.answer(session, silent()).await.is_err(), "too late");
    let (caller, callee) = (report(calling).await, report(talking).await);
    assert!(caller.answered && callee.answered);
    assert!(caller.media.received > 0 && callee.media.received > 0, "{caller:?} {callee:?}");
    assert_eq!(callee.who, Some(Who::Caller));
    let states = trace.states(session, "hangup").await;
    assert!(states.contains(&"talk".to_owned()), "{states:?}");
    assert_eq!(states.last().map(String::as_str), Some("hangup(normal; caller)"));
    bed.end().await.expect("the node ends");
}

/// As a client that does not look its callee up.
#[tokio::test]
async fn an_invite_to_a_number_that_nobody_has_is_not_found() {
    let bed = bed::node(2).await;
    let alice = bed::client(&bed, 0).await;
    let absent = bed.users.identities[1].uri.clone();
    let mut trace = Trace::start(&bed, &alice, &absent).await;
    let session = SessionId::from_parts(SystemClock::new().now(), [7; 10]);
    let (to, offer) = (nobody(), Bytes64(vec![1]));
    let invite = Invite { session, to, offer, media: RelayKind::Rtp };
    let state: CallState = alice.request(Op::Invite(invite)).await.expect("an answer");
    assert_eq!(state.state, SessionState::ResponderNotFound);
    let states = trace.states(session, "responder").await;
    assert_eq!(states.last().map(String::as_str), Some("responder not found"));
    bed.end().await.expect("the node ends");
}
