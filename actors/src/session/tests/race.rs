//! Requests that do not wait for each other: limits hold, order holds, nothing is left behind.

use futures_util::future::join_all;

use super::super::{USER_BEGUN_MAX, USER_SESSIONS_MAX};
use super::*;
use crate::settings::LimitSettings;

/// How a request was answered: the state of a call with its detail, or the code of an error.
fn told(answer: Result<SessionReply, ErrorBody>) -> String {
    match answer {
        Ok(SessionReply::State(state)) => {
            format!("{:?} {}", state.state, state.detail.unwrap_or_default())
        }
        Ok(SessionReply::Leg(leg)) => format!("leg {}", leg.leg),
        Ok(SessionReply::Freed) => "freed".to_owned(),
        Err(error) => format!("{:?}", error.code),
    }
}

/// All are begun before any of them runs.
#[tokio::test(start_paused = true)]
async fn invites_at_once_do_not_exceed_a_users_limits() {
    let rig = Rig::new(FakeRelay::default(), 1000).await;
    let a = rig.client(1, "a", Role::Primary).await;
    let peers = join_all((2..12).map(|n| rig.client(n, "b", Role::Primary))).await;
    let to = |n: u8| &peers[usize::from(n) % peers.len()];
    let all: Vec<_> =
        (0..100).map(|n| rig.service.request(a.party.clone(), invite(n, to(n)))).collect();
    let answers: Vec<String> = join_all(all).await.into_iter().map(told).collect();
    let count = |text: &str| answers.iter().filter(|answer| *answer == text).count();
    assert_eq!(count("Invite "), USER_SESSIONS_MAX, "{answers:?}");
    assert_eq!(count("Hangup user-sessions"), USER_BEGUN_MAX - USER_SESSIONS_MAX);
    assert_eq!(count("RateLimited"), 100 - USER_BEGUN_MAX);
}

#[tokio::test(start_paused = true)]
async fn invites_at_once_do_not_exceed_the_nodes_limit() {
    let rig = Rig::new(FakeRelay::default(), 1000).await;
    let limits = LimitSettings { sessions: 3, ..LimitSettings::default() };
    rig.context.reload(Settings { limits, ..Settings::default() });
    let (a, b) = (rig.client(1, "a", Role::Primary).await, rig.client(2, "b", Role::Primary).await);
    let all = (0..8).map(|n| rig.service.request(a.party.clone(), invite(n, &b)));
    let answers: Vec<String> = join_all(all).await.into_iter().map(told).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "Capacity").count(), 5, "{answers:?}");
}

#[tokio::test(start_paused = true)]
async fn two_who_call_each_other_at_once_are_told() {
    let rig = Rig::new(FakeRelay::default(), 1000).await;
    let (a, b) = (rig.client(1, "a", Role::Primary).await, rig.client(2, "b", Role::Primary).await);
    let both = [(&a, invite(1, &b)), (&b, invite(2, &a))]
        .map(|(from, request)| rig.service.request(from.party.clone(), request));
    let answers: Vec<String> = join_all(both).await.into_iter().map(told).collect();
    assert_eq!(answers, ["Invite ", "Hangup glare"]);
}

/// What a client sends behind its invite meets the call, in the order it was sent.
#[tokio::test(start_paused = true)]
async fn requests_behind_an_invite_wait_for_its_session() {
    let rig = Rig::new(FakeRelay::default(), 1000).await;
    let a = rig.client(1, "a", Role::Primary).await;
    let mut b = rig.client(2, "b", Role::Primary).await;
    let sent = [invite(1, &b), alloc(1), invite(1, &b), hangup(1), alloc(1)]
        .map(|request| rig.service.request(a.party.clone(), request));
    let answers: Vec<String> = join_all(sent).await.into_iter().map(told).collect();
    // The relay answers when the call is over already: nobody wants its legs.
    assert_eq!(answers, ["Invite ", "Gone", "Invite ", "Hangup ", "Gone"]);
    assert_eq!(b.event().await, SessionState::Invite);
    assert_eq!(b.full_event().await.reason, Some(HangupReason::Cancelled));
}

/// A registration that ends behind an invite is heard by the call, and so is the operator.
#[tokio::test(start_paused = true)]
async fn news_behind_an_invite_waits_for_its_session() {
    let rig = Rig::new(FakeRelay::default(), 1000).await;
    let a = rig.client(1, "a", Role::Primary).await;
    let mut b = rig.client(2, "b", Role::Primary).await;
    let inviting = rig.service.request(a.party.clone(), invite(1, &b));
    rig.service.detached(a.party.clone());
    let late = rig.client(2, "late", Role::Secondary).await;
    let attaching = rig.service.attached(late.party.clone(), Vec::new());
    assert_eq!(told(inviting.await), "Invite ");
    assert_eq!(attaching.await.unwrap().len(), 1);
    assert_eq!(b.event().await, SessionState::Invite);
    assert_eq!(rig.code(&late, hangup(2)).await, ErrorCode::Gone);
    let ringing = SessionRequest::Ringing(Ringing { session: id(1) });
    assert_eq!(rig.state(&b, ringing).await, SessionState::Ringing);
    let begun = tokio::time::Instant::now();
    let end = b.full_event().await;
    assert_eq!((end.detail.as_deref(), begun.elapsed().as_secs()), (Some("caller-lost"), 30));
    let inviting = rig.service.request(b.party.clone(), invite(3, &late));
    assert!(rig.service.end(id(3)));
    inviting.await.unwrap();
    let ended = rig.service.snapshot().into_iter().find(|session| session.id == id(3)).unwrap();
    assert_eq!(ended.end.map(|end| end.reason), Some(HangupReason::Operator));
}

/// A connection that ends takes its invite along; the place is free again.
#[tokio::test(start_paused = true)]
async fn an_invite_that_is_given_up_leaves_nothing() {
    let rig = Rig::new(FakeRelay::default(), 1000).await;
    let (a, b) = (rig.client(1, "a", Role::Primary).await, rig.client(2, "b", Role::Primary).await);
    let inviting = rig.service.request(a.party.clone(), invite(1, &b));
    let hanging = rig.service.request(a.party.clone(), hangup(1));
    drop(inviting);
    assert_eq!(told(hanging.await), "Gone");
    assert!(!rig.service.end(id(1)));
    assert_eq!(rig.state(&a, invite(1, &b)).await, SessionState::Invite);
}

/// One session that hangs does not hold up what an attach hears of the others.
#[tokio::test(start_paused = true)]
async fn an_attach_asks_all_sessions_at_once() {
    let rig = Rig::new(FakeRelay::default(), 1000).await;
    let (a, b) = (rig.client(1, "a", Role::Primary).await, rig.client(2, "b", Role::Primary).await);
    // Nobody runs the futures, so these sessions never start and never answer.
    let c = rig.client(3, "c", Role::Primary).await;
    let _held = [(1, &a), (2, &a), (3, &c)]
        .map(|(n, from)| rig.service.request(from.party.clone(), invite(n, &b)));
    rig.state(&c, invite(4, &b)).await;
    let late = rig.client(2, "late", Role::Secondary).await;
    let begun = tokio::time::Instant::now();
    let states = rig.service.attached(late.party.clone(), Vec::new()).await.unwrap();
    assert_eq!(states.iter().map(|state| state.session).collect::<Vec<_>>(), [id(4)]);
    assert_eq!(begun.elapsed().as_secs(), 10);
}
