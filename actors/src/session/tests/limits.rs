//! Limits of the node and of one session's queue.

use super::*;
use crate::settings::LimitSettings;

#[tokio::test(start_paused = true)]
async fn the_operators_limit_of_sessions_may_be_changed() {
    let rig = Rig::new(FakeRelay::default(), 100).await;
    let (_a, b) = talking(&rig).await;
    let c = rig.client(3, "c", Role::Primary).await;
    let limit = |sessions| {
        let limits = LimitSettings { sessions, ..LimitSettings::default() };
        rig.context.reload(Settings { limits, ..Settings::default() });
    };
    limit(1);
    assert_eq!(rig.code(&c, invite(2, &b)).await, ErrorCode::Capacity);
    limit(2);
    assert_eq!(rig.state(&c, invite(2, &b)).await, SessionState::Invite);
}

/// All are asked in one go on the only thread, so the session answers none meanwhile.
#[tokio::test(start_paused = true)]
async fn requests_beyond_a_sessions_queue_are_refused() {
    let rig = Rig::new(FakeRelay::default(), 1).await;
    let (a, _b) = talking(&rig).await;
    let asked = (0..SESSION_QUEUE + 4).map(|_| rig.ask(&a, alloc(1)));
    let answers = futures_util::future::join_all(asked).await;
    let refused = |answer: &Result<SessionReply, ErrorBody>| {
        answer.as_ref().is_err_and(|error| error.code == ErrorCode::Unavailable)
    };
    assert_eq!(answers.iter().filter(|answer| refused(answer)).count(), 4);
    assert_eq!(rig.state(&a, hangup(1)).await, SessionState::Hangup);
}
