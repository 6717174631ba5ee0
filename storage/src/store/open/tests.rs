//! A group that does not come up.

use crs_cluster::Unreachable;
use crs_types::SystemClock;
use tokio::time::Instant;

use super::*;
use crate::testing::FakeDisk;

/// Nobody has made it a member of anything, so it never has a leader.
#[tokio::test(start_paused = true)]
async fn a_group_that_does_not_come_up_is_named_after_its_time() {
    let config = StoreConfig {
        mailbox_groups: 1,
        segment_bytes: 64 << 10,
        reserve_bytes: 64 << 10,
        tables: Tables::Memory,
        ..StoreConfig::default()
    };
    let disk: Arc<dyn Disk> = Arc::new(FakeDisk::new());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let parts = open_parts(&config, &disk, &clock, |_| Box::new(|_| {})).unwrap();
    let state = Arc::clone(&parts.states[1]);
    let started = start_group(config.node.0, state, Arc::clone(&parts.wal), Unreachable).await;
    let (group, _jobs) = started.unwrap();
    let began = Instant::now();
    let failure = settled(&group).await.unwrap_err();
    assert_eq!(began.elapsed().as_secs(), START_TIMEOUT.as_secs());
    assert!(matches!(failure, OpenError::Group { group: GroupId(1), .. }), "{failure}");
    assert!(failure.to_string().contains("a leader that has applied its log"), "{failure}");
    group.raft.shutdown().await.unwrap();
}
