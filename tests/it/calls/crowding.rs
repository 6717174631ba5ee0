//! A caller who calls one user again and again and waits: the user goes on calling and being
//! called.

use crs_client::CallMedia;
use crs_proto::wire::call::HangupReason;

use super::bed::{call, client, node, report};
use crate::bed::rings;

/// Calls of one caller that ring at one user.
const RINGING_OF_ONE_CALLER: usize = 2;

#[tokio::test]
async fn one_caller_keeps_nobody_from_calling_or_being_called() {
    let bed = node(4).await;
    let uri = |n: usize| &bed.users.identities[n].uri;
    let (mallory, bob) = (client(&bed, 0).await, client(&bed, 1).await);
    let (carol, dave) = (client(&bed, 2).await, client(&bed, 3).await);
    let mut waiting = Vec::new();
    for _ in 0..RINGING_OF_ONE_CALLER {
        waiting.push(call(&mallory, uri(1), CallMedia::default()));
        rings(&bob).await;
    }
    for _ in 0..10 {
        let refused = report(call(&mallory, uri(1), CallMedia::default())).await;
        assert_eq!(refused.reason, HangupReason::Capacity);
    }
    waiting.push(call(&bob, uri(2), CallMedia::default()));
    rings(&carol).await;
    waiting.push(call(&dave, uri(1), CallMedia::default()));
    rings(&bob).await;
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    bed.end().await.expect("the node ends");
}
