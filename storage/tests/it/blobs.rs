//! Files of update blobs go when nothing names them, and not before.

use std::path::Path;
use std::sync::Arc;

use crs_storage::command::control::{ApplyUpdate, ControlCommand, CreateAccount, UpdateRecord};
use crs_storage::store::PutBlob;
use crs_storage::testing::FakeDisk;
use crs_storage::{Sealed, Store};
use crs_types::disk::Disk;
use crs_types::{AccountId, Period, Timestamp};

use crate::common::{START, config, open};

const NOW: Timestamp = Timestamp::from_millis(START);

async fn propose(store: &Store, command: ControlCommand) {
    let confirmed = store.propose_control(command).await.unwrap();
    confirmed.reply.into_result().unwrap();
}

async fn create(store: &Store) {
    let (id, secret) = (account(), Sealed::from(vec![1]));
    let create = CreateAccount { id, secret, cms_key: None, time: NOW };
    propose(store, ControlCommand::CreateAccount(create)).await;
}

fn account() -> AccountId {
    AccountId::parse("police").unwrap()
}

async fn name(store: &Store, put: &PutBlob, serial: u64) {
    let (period, created, applied, size) = (Period::at(NOW), NOW, NOW, 1);
    let update = UpdateRecord { period, serial, created, applied, blob: put.hash(), size };
    let (account, cms_key, replace_key) = (account(), vec![1], false);
    let apply = ApplyUpdate { account, update, cms_key, replace_key, current: period };
    propose(store, ControlCommand::ApplyUpdate(apply)).await;
}

fn files(disk: &FakeDisk) -> Vec<String> {
    disk.list(Path::new("blobs")).unwrap()
}

#[tokio::test]
async fn a_superseded_update_file_is_removed_and_the_newest_stays() {
    let disk = FakeDisk::new();
    let store = open(&disk, config()).await.unwrap();
    create(&store).await;
    let mut newest = None;
    for serial in 1..=3 {
        let put = store.put_blob(Arc::new(vec![serial as u8; 1_000])).await.unwrap();
        name(&store, &put, serial).await;
        newest = Some(put.hash());
        put.decided();
    }
    assert_eq!(files(&disk).len(), 3);
    assert_eq!(store.remove_unreferenced_blobs().await, Ok(2));
    assert_eq!(files(&disk), [newest.unwrap().to_string()]);
    let delete = crs_storage::command::control::DeleteAccount { id: account() };
    propose(&store, ControlCommand::DeleteAccount(delete)).await;
    assert_eq!(store.remove_unreferenced_blobs().await, Ok(1));
    store.close().await;
}

/// Between put and command the file is nobody's; it stays while the command may still come.
#[tokio::test]
async fn a_blob_that_is_about_to_be_named_stays() {
    let disk = FakeDisk::new();
    let store = open(&disk, config()).await.unwrap();
    create(&store).await;
    let put = store.put_blob(Arc::new(vec![1; 1_000])).await.unwrap();
    // The same content twice, of which one try fails by name.
    store.put_blob(Arc::new(vec![1; 1_000])).await.unwrap().decided();
    assert_eq!(store.remove_unreferenced_blobs().await, Ok(0));
    name(&store, &put, 1).await;
    let hash = put.hash();
    put.decided();
    assert_eq!(store.remove_unreferenced_blobs().await, Ok(0));
    assert!(store.get_blob(hash).await.is_ok());
    // Nobody knows what became of the command: the blob waits for it.
    drop(store.put_blob(Arc::new(vec![2; 1_000])).await.unwrap());
    assert_eq!(store.remove_unreferenced_blobs().await, Ok(0));
    store.put_blob(Arc::new(vec![3; 1_000])).await.unwrap().decided();
    assert_eq!(store.remove_unreferenced_blobs().await, Ok(1), "refused: nobody will name it");
    store.close().await;
}

#[tokio::test]
async fn what_a_crash_left_between_put_and_command_is_removed() {
    let disk = FakeDisk::new();
    let store = open(&disk, config()).await.unwrap();
    let put = store.put_blob(Arc::new(vec![1; 1_000])).await.unwrap();
    disk.open(&Path::new("blobs").join(format!("{}.tmp", put.hash())), true).unwrap();
    let after = disk.kill();
    let again = open(&after, config()).await.unwrap();
    assert_eq!(files(&after).len(), 2);
    assert_eq!(again.remove_unreferenced_blobs().await, Ok(2));
    assert!(files(&after).is_empty());
    again.close().await;
    store.close().await;
}

/// Upkeep takes what it finds unused twice.
#[tokio::test]
async fn upkeep_removes_what_stays_unused() {
    let disk = FakeDisk::new();
    let config = crs_storage::StoreConfig { blob_idle_secs: 1, ..config() };
    let store = open(&disk, config).await.unwrap();
    store.put_blob(Arc::new(vec![1; 1_000])).await.unwrap().decided();
    assert_eq!(files(&disk).len(), 1);
    for _ in 0..1_000 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        if files(&disk).is_empty() {
            break;
        }
    }
    assert!(files(&disk).is_empty(), "nobody has removed it");
    store.close().await;
}
