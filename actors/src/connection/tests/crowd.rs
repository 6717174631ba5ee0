//! One user with very many connections.

use super::super::USER_CONNECTIONS_MAX;
use super::limits::bed;
use crate::testing::until;

/// The registered one stays however old it is; the oldest of the others goes, one for each that
/// comes; and nothing of it is left at the end.
#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_unregistered_connection_of_a_user_makes_room() {
    let (bed, anna) = bed().await;
    let attached = bed.attach(&anna, "primary", "d").await;
    let mut idle = Vec::new();
    for _ in 1..USER_CONNECTIONS_MAX {
        idle.push(bed.connect(&anna).await);
    }
    for gone in 0..3 {
        idle.push(bed.connect(&anna).await);
        assert_eq!(idle[gone].closed().await, Some(1001), "{gone}");
    }
    until("only so many are left", || bed.capacity.count() == USER_CONNECTIONS_MAX).await;
    assert_eq!(bed.context.directory.count(), 1);
    drop((idle, attached));
    until("all are gone", || bed.capacity.count() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_node_closes_those_who_never_registered() {
    let (bed, anna) = bed().await;
    let mut idle = bed.connect(&anna).await;
    bed.context.crowd.close_all();
    assert_eq!(idle.closed().await, Some(1001));
    until("it is gone", || bed.capacity.count() == 0).await;
}
