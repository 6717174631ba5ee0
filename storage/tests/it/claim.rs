//! One id, one content, whoever receives: over restarts, crashes in the middle, and several
//! devices that post at once.

use std::time::Duration;

use crs_storage::Store;
use crs_storage::command::mailbox::PostReply;
use crs_storage::testing::{FakeDisk, Plan};
use futures_util::future::join_all;

use crate::common::{config, inbox, open, post, user};

const SENDER: u32 = 1;

/// The first user from 2 on in the sender's group, and the first in the other.
fn neighbours(store: &Store) -> (u32, u32) {
    let home = store.group_of(&user(SENDER).uri);
    let at_home = |n: &u32| store.group_of(&user(*n).uri) == home;
    (2..).find(at_home).zip((2..).find(|n| !at_home(n))).unwrap()
}

async fn waiting(store: &Store, receivers: impl IntoIterator<Item = u32>) -> usize {
    let mut all = 0;
    for receiver in receivers {
        all += inbox(store, receiver).await.len();
    }
    all
}

#[tokio::test]
async fn an_id_is_for_one_receiver_and_stays_so_over_restarts() {
    let disk = FakeDisk::new();
    let store = open(&disk, config()).await.unwrap();
    let receivers = 2..12;
    for (id, first) in receivers.clone().enumerate() {
        let id = id as u32;
        assert_eq!(post(&store, SENDER, first, id, vec![1]).await, Ok(PostReply::Stored { n: 1 }));
        for to in receivers.clone().filter(|to| *to != first) {
            let reply = post(&store, SENDER, to, id, vec![1]).await;
            assert_eq!(reply, Ok(PostReply::IdConflict), "{id} to {first}, then to {to}");
        }
    }
    store.snapshot(store.group_of(&user(SENDER).uri)).await;
    for disk in [disk.crash(0), disk.kill()] {
        let again = open(&disk, config()).await.unwrap();
        for (id, first) in receivers.clone().enumerate() {
            for to in receivers.clone() {
                let same = to == first;
                let expected =
                    if same { PostReply::Duplicate { n: 1 } } else { PostReply::IdConflict };
                assert_eq!(post(&again, SENDER, to, id as u32, vec![1]).await, Ok(expected));
            }
            // Another sender's ids are others.
            let reply = post(&again, 99, first, id as u32, vec![1]).await;
            assert!(matches!(reply, Ok(PostReply::Stored { .. })), "{reply:?}");
        }
        assert_eq!(waiting(&again, receivers.clone()).await, 20);
        again.close().await;
    }
    store.close().await;
}

/// Several devices of one user, one id, every receiver at once: exactly one message is stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_posts_made_at_once_exactly_one_wins() {
    let store = open(&FakeDisk::new(), config()).await.unwrap();
    let receivers = 2..10;
    for id in 0..40 {
        let posts = receivers.clone().map(|to| post(&store, SENDER, to, id, vec![1]));
        let replies = join_all(posts).await;
        let won = replies.iter().filter(|r| matches!(r, Ok(PostReply::Stored { .. }))).count();
        let lost = replies.iter().filter(|r| **r == Ok(PostReply::IdConflict)).count();
        assert_eq!((won, lost), (1, receivers.len() - 1), "{replies:?}");
        assert_eq!(waiting(&store, receivers.clone()).await, id as usize + 1);
    }
    store.close().await;
}

/// Power is lost at every step of a post to another group. Afterwards the same message or another
/// with its id gets through, whichever the crash left room for, and never both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_claim_and_message_leaves_room_for_that_message_alone() {
    let mut between = 0;
    for die_at in 0..100 {
        for other_first in [false, true] {
            let disk = FakeDisk::new();
            let store = open(&disk, config()).await.unwrap();
            let (near, far) = neighbours(&store);
            disk.plan(Plan { die_at: Some(die_at), ..Plan::default() });
            let limit = Duration::from_secs(5);
            let posting = post(&store, SENDER, far, 1, vec![1; 100]);
            let confirmed = matches!(tokio::time::timeout(limit, posting).await, Ok(Ok(_)));
            let again = open(&disk.crash(0), config()).await.unwrap();
            let there = waiting(&again, [near, far]).await;
            assert!(!confirmed || there == 1, "dead before step {die_at}: lost");
            let mut replies = [None, None];
            for other in [other_first, !other_first] {
                let to = if other { near } else { far };
                let reply = post(&again, SENDER, to, 1, vec![1; 100]).await.unwrap();
                replies[usize::from(other)] = Some(reply != PostReply::IdConflict);
            }
            let [same, other] = replies.map(Option::unwrap);
            assert!(same != other, "dead before step {die_at}: same {same}, other {other}");
            assert!(!(confirmed && other));
            assert_eq!(waiting(&again, [near, far]).await, 1);
            between += u32::from(other_first && there == 0 && same);
            again.close().await;
            store.close().await;
            if confirmed && other_first {
                assert!(between > 0, "no crash fell between the claim and the message");
                return;
            }
        }
    }
    panic!("the post was never confirmed");
}
