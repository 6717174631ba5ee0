//! The operator bars a user in a call: it ends for both, and the user is back when he may be.

use crs_client::{CallMedia, Event};
use crs_proto::wire::call::{HangupReason, SessionState, Who};

use super::bed::{self, Trace, answer, call, report};
use crate::bed::{rings, until};

#[tokio::test]
async fn a_call_of_a_user_who_is_barred_ends_for_both() {
    let bed = bed::node(3).await;
    let (alice, bob) = (bed::client(&bed, 0).await, bed::client(&bed, 1).await);
    let to = bed.users.identities[1].uri.clone();
    let absent = bed.users.identities[2].uri.clone();
    let mut trace = Trace::start(&bed, &alice, &absent).await;
    let calling = call(&alice, &to, CallMedia::default());
    let session = rings(&bob).await;
    let talking = answer(&bob, session, CallMedia::default());
    trace.states(session, "talk").await;
    let account = bed.users.identities[1].account.to_string();
    let barring = ["blacklist", "add", &account, &to.to_string()];
    bed.cli(&barring).await.expect("barred");
    for side in [report(calling).await, report(talking).await] {
        assert_eq!((side.state, side.reason), (SessionState::Hangup, HangupReason::NotAllowed));
        assert_eq!((side.who, side.answered), (Some(Who::Crs), true), "{side:?}");
    }
    let retry = until(&bob, |event| {
        if let Event::Disconnected { retry_ms, .. } = event { Some(*retry_ms) } else { None }
    });
    assert!(retry.await.is_some(), "it tries again");
    assert!(bob.status().refused, "slowly");
    bed.end().await.expect("the node ends");
}
