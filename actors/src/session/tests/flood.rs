//! Somebody who calls in a loop.

use super::super::USER_BEGUN_MAX;
use super::*;

/// Ended calls are remembered for a while: whoever calls in a loop, over however many connections,
/// is refused before the node's table is full of them.
#[tokio::test(start_paused = true)]
async fn a_user_who_calls_in_a_loop_is_refused() {
    let rig = Rig::new(FakeRelay::default(), 1000).await;
    let d = rig.client(4, "d", Role::Primary).await;
    rig.context.directory.remove(&d.party.account, &d.party.uri, d.party.connection.id());
    for n in 0..USER_BEGUN_MAX as u8 {
        let caller = rig.client(1, &format!("c{}", n % 5), Role::Secondary).await;
        let state = rig.state(&caller, invite(n, &d)).await;
        assert_eq!(state, SessionState::ResponderNotConnected, "{n}");
    }
    let caller = rig.client(1, "c0", Role::Secondary).await;
    assert_eq!(rig.code(&caller, invite(200, &d)).await, ErrorCode::RateLimited);
    // Others still call the same user, and what was ended is nothing an attach asks about.
    let other = rig.client(2, "o", Role::Primary).await;
    assert_eq!(rig.state(&other, invite(201, &d)).await, SessionState::ResponderNotConnected);
    assert_eq!(rig.service.attached(caller.party.clone(), Vec::new()).await.unwrap(), []);
    tokio::time::sleep(Duration::from_secs(31)).await;
    let state = rig.ask(&caller, invite(202, &d)).await;
    let told = |reply| match reply {
        SessionReply::State(state) => state.state,
        SessionReply::Leg(_) | SessionReply::Freed => panic!("no call"),
    };
    assert_eq!(state.map(told), Ok(SessionState::ResponderNotConnected));
}
