//! One thing that hangs does not keep the store from seeing that the disk fills up.

use std::sync::Arc;
use std::time::Duration;

use crs_storage::store::StoreStatus;
use crs_storage::testing::{FakeDisk, Plan, StallingDisk, Stalls};

use crate::common::{config, open_on, post};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn free_space_is_measured_while_a_snapshot_takes_its_time() {
    let disk = FakeDisk::new();
    let stalling = StallingDisk::over(disk.clone(), Stalls::SnapshotRenames);
    let store = open_on(Arc::new(stalling.clone()), config()).await.unwrap();
    let stall = stalling.stall();
    let until = async |what: &str, done: &dyn Fn(&StoreStatus) -> bool| {
        for _ in 0..1_000 {
            if done(&store.status()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{what} never happened");
    };
    // More than what a snapshot is made for.
    for id in 0..40 {
        post(&store, 1, 2, id, vec![1; 3_000]).await.unwrap();
    }
    tokio::task::spawn_blocking(move || stalling.wait_stalled()).await.unwrap();
    disk.plan(Plan { free: Some(12_345), ..Plan::default() });
    until("a measurement", &|status| status.free_bytes <= 12_345).await;
    disk.plan(Plan::default());
    drop(stall);
    store.close().await;
}
