//! The end of messages and accounts: expiry by a clock that may jump (CF-09), purge of an account.

use std::sync::Arc;
use std::time::Duration;

use crs_storage::command::control::{ControlRefusal, CreateAccount, DeleteAccount};
use crs_storage::command::{ControlCommand, Sealed};
use crs_storage::testing::FakeDisk;
use crs_storage::{Store, StoreConfig};
use crs_types::{AccountId, Timestamp};

use crate::common::{START, TestClock, config, inbox, open, open_at, post, user};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

async fn store_with_a_message(disk: &FakeDisk, clock: &TestClock) -> Store {
    let store = open_at(Arc::new(disk.clone()), config(), clock).await.unwrap();
    post(&store, 1, 2, 1, vec![1; 10]).await.unwrap();
    store
}

async fn waits(store: &Store) -> bool {
    store.expire().await;
    !inbox(store, 2).await.is_empty()
}

#[tokio::test]
async fn messages_expire_by_the_time_that_passed_not_by_a_jump_of_the_clock() {
    let (disk, clock) = (FakeDisk::new(), TestClock::default());
    let store = store_with_a_message(&disk, &clock).await;
    clock.jump(36 * DAY);
    assert!(waits(&store).await, "a jump by 36 days");
    clock.pass(23 * HOUR);
    assert!(waits(&store).await, "not believed for a day");
    store.close().await;

    // A restart does not make the jumped clock any truer.
    let store = open_at(Arc::new(disk.kill()), config(), &clock).await.unwrap();
    assert!(waits(&store).await, "after a restart");
    clock.pass(23 * HOUR);
    assert!(waits(&store).await);
    clock.pass(2 * HOUR);
    assert!(!waits(&store).await, "a clock that ran evenly for a day is right");
    store.close().await;
}

#[tokio::test]
async fn messages_expire_when_their_time_has_passed() {
    let (disk, clock) = (FakeDisk::new(), TestClock::default());
    let store = store_with_a_message(&disk, &clock).await;
    clock.pass(34 * DAY);
    assert!(waits(&store).await);
    clock.pass(2 * DAY);
    assert!(!waits(&store).await);
    store.close().await;
}

fn create() -> ControlCommand {
    let id = AccountId::parse("police").unwrap();
    let secret = Sealed::from(vec![1]);
    let time = Timestamp::from_millis(START);
    ControlCommand::CreateAccount(CreateAccount { id, secret, cms_key: None, time })
}

/// A deleted account takes its mailboxes along, over a power cut in the middle, and its name is
/// free again only after that.
#[tokio::test]
async fn a_deleted_account_leaves_no_mailbox_behind() {
    let disk = FakeDisk::new();
    // Control commands are admitted when the largest one would fit.
    let roomy = || StoreConfig { segment_bytes: 4 << 20, ..config() };
    let store = open(&disk, roomy()).await.unwrap();
    store.propose_control(create()).await.unwrap();
    for id in 0..40 {
        post(&store, 1, 2 + id % 8, id, vec![1; 6_000]).await.unwrap();
    }
    let id = AccountId::parse("police").unwrap();
    let delete = ControlCommand::DeleteAccount(DeleteAccount { id: id.clone() });
    store.propose_control(delete).await.unwrap();
    let refused = store.propose_control(create()).await.unwrap().reply.into_result();
    assert_eq!(refused, Err(ControlRefusal::AccountPurging(id.clone())));
    let cut = disk.crash(0);
    store.close().await;

    let store = open(&cut, roomy()).await.unwrap();
    let mut changes = store.control_changes();
    let purged = changes.wait_for(|_| !store.control().purging.contains(&id));
    tokio::time::timeout(Duration::from_secs(30), purged).await.unwrap().unwrap();
    for n in 1..10 {
        assert!(inbox(&store, n).await.is_empty(), "mailbox {n}");
    }
    assert!(store.counters(None).await.unwrap().is_empty());
    assert_eq!(store.propose_control(create()).await.unwrap().reply.into_result(), Ok(true));
    store.close().await;
}

#[tokio::test]
async fn a_user_that_has_just_looked_for_messages_is_shown_so() {
    let (disk, clock) = (FakeDisk::new(), TestClock::default());
    let store = store_with_a_message(&disk, &clock).await;
    let read = async || {
        let all = store.counters(None).await.unwrap();
        all.into_iter().find(|line| line.user == user(2)).unwrap().read
    };
    assert_eq!(read().await, None);
    store.note_read(&user(2));
    assert_eq!(read().await, Some(Timestamp::from_millis(START)), "before the note is written");
    store.close().await;
}
