//! A party's signalling is cut in a call: it resumes, or the call ends after the time it has.

use std::time::Duration;

use crs_client::CallMedia;
use crs_proto::wire::call::{HangupReason, SessionState, Who};
use crs_proto::wire::life::Role;

use super::bed::{self, Trace, answer, call, report};
use super::forwarder::Forwarder;
use crate::bed::rings;

const TALK: Duration = Duration::from_secs(5);
/// What a side of a call of that length sends, at 20 ms a packet.
const PACKETS: u64 = 250;

fn for_a_while(ends: bool) -> CallMedia {
    CallMedia { duration: ends.then_some(TALK), ..CallMedia::default() }
}

#[tokio::test]
async fn a_call_goes_on_over_a_new_connection() {
    let bed = bed::node(3).await;
    let forwarder = Forwarder::start(&bed.server).await;
    let identity = bed::identity(&bed, 0, &forwarder.address);
    let alice = bed::attach(identity, Role::Primary, "phone").await;
    let bob = bed::client(&bed, 1).await;
    let to = bed.users.identities[1].uri.clone();
    let absent = bed.users.identities[2].uri.clone();
    let mut trace = Trace::start(&bed, &alice, &absent).await;

    // The cut side ends the call first, then the other one.
    for (round, caller_ends) in [(1, true), (2, false)] {
        let calling = call(&alice, &to, for_a_while(caller_ends));
        let session = rings(&bob).await;
        let talking = answer(&bob, session, for_a_while(!caller_ends));
        trace.states(session, "talk").await;
        forwarder.cut();
        let (caller, callee) = (report(calling).await, report(talking).await);
        assert_eq!(forwarder.connections(), 1 + round, "the caller came back, once");
        let who = if caller_ends { Who::Caller } else { Who::Callee };
        for side in [&caller, &callee] {
            assert_eq!((side.state, side.reason), (SessionState::Hangup, HangupReason::Normal));
            assert_eq!(side.who, Some(who), "{side:?}");
            // The cut came at the start; media that stopped with it would be a handful.
            assert!(side.media.received > PACKETS / 2, "{side:?}");
        }
        let ended = trace.states(session, "hangup").await;
        let expected =
            if caller_ends { "hangup(normal; caller)" } else { "hangup(normal; callee)" };
        assert_eq!(ended, [expected], "one end, nothing else happened to the session");
    }
    bed.end().await.expect("the node ends");
}

#[tokio::test]
async fn a_party_that_does_not_come_back_ends_the_call() {
    let bed = bed::node(3).await;
    let forwarder = Forwarder::start(&bed.server).await;
    let identity = bed::identity(&bed, 0, &forwarder.address);
    let alice = bed::attach(identity, Role::Primary, "phone").await;
    let bob = bed::client(&bed, 1).await;
    let to = bed.users.identities[1].uri.clone();
    let absent = bed.users.identities[2].uri.clone();
    let mut trace = Trace::start(&bed, &alice, &absent).await;

    let calling = call(&alice, &to, CallMedia::default());
    let session = rings(&bob).await;
    let talking = answer(&bob, session, CallMedia::default());
    trace.states(session, "talk").await;
    forwarder.close();
    let callee = report(talking).await;
    assert_eq!((callee.reason, callee.who), (HangupReason::ClientLost, Some(Who::Crs)));
    assert!(callee.talk_ms >= 29_000, "the caller had its time: {callee:?}");
    assert_eq!(trace.states(session, "hangup").await, ["hangup(client-lost; crs)"]);
    calling.abort();
    bed.end().await.expect("the node ends");
}
