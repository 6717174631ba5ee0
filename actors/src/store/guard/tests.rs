//! A store that cannot be closed because its disk stalls.

use std::sync::Arc;

use crs_cluster::Unreachable;
use crs_storage::command::control::CreateAccount;
use crs_storage::command::{ControlCommand, Sealed};
use crs_storage::testing::StallingDisk;
use crs_storage::{StoreConfig, Tables};
use crs_types::{AccountId, SystemClock};

use super::*;
use crate::metrics::NodeMetrics;
use crate::supervisor::{Intensity, SupervisorConfig, SupervisorHandle};
use crate::testing::{NOW, seconds_of};

#[tokio::test]
async fn a_store_that_does_not_close_is_given_up_after_its_time() {
    let disk = StallingDisk::default();
    let config = StoreConfig {
        mailbox_groups: 1,
        min_free_bytes: 0,
        segment_bytes: 256 << 10,
        reserve_bytes: 64 << 10,
        tables: Tables::Memory,
        ..StoreConfig::default()
    };
    let clock = Arc::new(SystemClock::new());
    let opened =
        Store::open(config, Arc::new(disk.clone()), clock.clone(), Unreachable, Arc::new(|_| {}));
    let store = opened.await.unwrap();
    let name = SupervisorConfig { name: "test", intensity: Intensity::default(), population: 0 };
    let supervisor =
        SupervisorHandle::start(name, clock, &NodeMetrics::default(), None).await.unwrap();
    supervisor.start_child(store_guard(store.clone())).await.unwrap();

    let stall = disk.stall();
    let create = CreateAccount {
        id: AccountId::parse("acme").unwrap(),
        secret: Sealed::new(vec![0; 8]),
        cms_key: None,
        time: NOW,
    };
    let writing =
        tokio::spawn(
            async move { store.propose_control(ControlCommand::CreateAccount(create)).await },
        );
    let stalled = disk.clone();
    tokio::task::spawn_blocking(move || stalled.wait_stalled()).await.unwrap();
    tokio::time::pause();
    let drained = async move { supervisor.drain(10 * CLOSE_TIMEOUT).await };
    let seconds = seconds_of(drained, 10 * CLOSE_TIMEOUT).await;
    let limit = CLOSE_TIMEOUT.as_secs();
    assert!((limit..limit + 5).contains(&seconds), "{seconds} s");
    drop(stall);
    // What came of it is of no interest; the writer's thread ends with it.
    let _ended = writing.await;
}
