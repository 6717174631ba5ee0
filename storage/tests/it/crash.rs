//! Power loss at every write and sync of a scripted workload: nothing that was confirmed is
//! lost, doubled or out of order; and the test would notice if the log forgot to sync.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crs_storage::command::mailbox::PostReply;
use crs_storage::testing::{FakeDisk, Plan};
use crs_storage::wal::PlantedFault;
use crs_storage::{Store, StoreConfig};
use crs_types::MessageId;

use crate::common::{ack, config, inbox, inbox_of_len, mid, open, post};

/// What clients were told.
#[derive(Debug, Default, Clone)]
struct Ledger {
    /// Confirmed posts in order: receiver, id.
    posted: Vec<(u32, u32)>,
    /// Posts without confirmation: they may be there or not.
    unsure: BTreeSet<(u32, u32)>,
    /// Confirmed acks: receiver, arrival number.
    acked: BTreeSet<(u32, u64)>,
    unsure_acks: BTreeSet<(u32, u64)>,
}

const RECEIVERS: [u32; 3] = [2, 3, 4];
const SENDER: u32 = 1;

fn body(id: u32) -> Vec<u8> {
    vec![id as u8; if id.is_multiple_of(4) { 9_000 } else { 64 }]
}

/// Posts, acks and snapshots until all is done or the disk is dead.
async fn workload(store: &Store, ledger: &mut Ledger, first: u32) {
    let limit = Duration::from_secs(5);
    for id in first..first + 10 {
        let to = RECEIVERS[id as usize % RECEIVERS.len()];
        match tokio::time::timeout(limit, post(store, SENDER, to, id, body(id))).await {
            Ok(Ok(PostReply::Stored { .. } | PostReply::Duplicate { .. })) => {
                ledger.posted.push((to, id));
            }
            Ok(Ok(other)) => panic!("{other:?}"),
            Ok(Err(_)) | Err(_) => {
                ledger.unsure.insert((to, id));
                return;
            }
        }
        if id % 5 == 4 {
            match tokio::time::timeout(limit, ack(store, to, vec![1])).await {
                Ok(Ok(_)) => drop(ledger.acked.insert((to, 1))),
                Ok(Err(_)) | Err(_) => {
                    ledger.unsure_acks.insert((to, 1));
                    return;
                }
            }
        }
        if id == first + 6 {
            store.snapshot(store.group_of(&crate::common::user(to).uri)).await;
        }
    }
}

/// What is wrong with the store, judged by the ledger.
async fn judge(store: &Store, ledger: &Ledger) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut acked_mids = BTreeSet::new();
    let mut maybe_acked = BTreeSet::new();
    for to in RECEIVERS {
        let items = inbox(store, to).await;
        let found: Vec<MessageId> = items.iter().map(|(_, mid, _)| *mid).collect();
        let sure: Vec<u32> =
            ledger.posted.iter().filter(|(r, _)| *r == to).map(|(_, id)| *id).collect();
        // The workload only ever acks the first item.
        let gone = sure.first().copied();
        let acked = ledger.acked.contains(&(to, 1));
        let maybe = ledger.unsure_acks.contains(&(to, 1));
        if let Some(first) = gone {
            if acked {
                acked_mids.insert(mid(first));
            } else if maybe {
                maybe_acked.insert(mid(first));
            }
        }
        for id in &sure {
            let may_be_gone = Some(*id) == gone && (acked || maybe);
            let copies = found.iter().filter(|m| **m == mid(*id)).count();
            if copies > 1 {
                wrong.push(format!("{id} to {to} is there {copies} times"));
            }
            if copies == 0 && !may_be_gone {
                wrong.push(format!("{id} to {to} is lost"));
            }
            if copies == 1 && acked && Some(*id) == gone {
                wrong.push(format!("{id} to {to} was acked and is back"));
            }
        }
        let order: Vec<usize> =
            found.iter().filter_map(|m| sure.iter().position(|id| mid(*id) == *m)).collect();
        if !order.is_sorted() {
            wrong.push(format!("messages to {to} are out of order"));
        }
        for (_, found_mid, found_body) in &items {
            let id = (0..100).find(|id| mid(*id) == *found_mid);
            let same = id.is_some_and(|id| {
                found_body.as_ref().is_some_and(|found| found.as_bytes() == body(id))
            });
            if !same {
                wrong.push(format!("{found_mid} to {to} has another body"));
            }
        }
    }
    wrong.extend(judge_receipts(store, &acked_mids, &maybe_acked).await);
    wrong
}

async fn judge_receipts(
    store: &Store,
    acked: &BTreeSet<MessageId>,
    maybe: &BTreeSet<MessageId>,
) -> Vec<String> {
    let receipts = inbox_of_len(store, SENDER, acked.len()).await;
    let mut count: BTreeMap<MessageId, usize> = BTreeMap::new();
    for (_, mid, _) in receipts {
        *count.entry(mid).or_default() += 1;
    }
    let mut wrong = Vec::new();
    for (mid, times) in &count {
        if *times != 1 || !(acked.contains(mid) || maybe.contains(mid)) {
            wrong.push(format!("receipt of {mid} is there {times} times"));
        }
    }
    wrong.extend(
        acked.iter().filter(|m| !count.contains_key(m)).map(|m| format!("receipt of {m} lost")),
    );
    wrong
}

/// Runs the workload with the process dying before step `die_at`, loses power, and judges.
async fn run(die_at: Option<u64>, torn: usize, config: &StoreConfig) -> (u64, Vec<String>) {
    let disk = FakeDisk::new();
    let mut ledger = Ledger::default();
    let store = open(&disk, config.clone()).await.unwrap();
    disk.plan(Plan { die_at, ..Plan::default() });
    workload(&store, &mut ledger, 0).await;
    let steps = disk.steps();
    let crashed = disk.crash(torn);
    let healthy = StoreConfig { fault: None, ..config.clone() };
    let limit = Duration::from_secs(5);
    let wrong = match tokio::time::timeout(limit, open(&crashed, healthy)).await {
        Err(_) => vec!["lost the way to open".to_owned()],
        Ok(Ok(again)) => {
            let mut wrong = judge(&again, &ledger).await;
            // The client asks again with the same ids, and all is well.
            for (to, id) in ledger.unsure.clone() {
                match post(&again, SENDER, to, id, body(id)).await {
                    Ok(PostReply::Stored { .. } | PostReply::Duplicate { .. }) => {
                        ledger.posted.push((to, id));
                    }
                    other => wrong.push(format!("repeating {id}: {other:?}")),
                }
            }
            wrong.extend(judge(&again, &ledger).await);
            again.close().await;
            wrong
        }
        Ok(Err(failure)) => vec![format!("does not open: {failure}")],
    };
    store.close().await;
    (steps, wrong)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_loss_at_every_step_loses_nothing() {
    let (steps, wrong) = run(None, 0, &config()).await;
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(steps > 60, "the workload has {steps} steps");
    for die_at in 0..steps {
        let torn = [0, 100, 5_000][die_at as usize % 3];
        let (_, wrong) = run(Some(die_at), torn, &config()).await;
        assert!(wrong.is_empty(), "dead before step {die_at}: {wrong:?}");
    }
}

/// The control: with the sync left out, or done after the confirmation, the same test is red.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_crash_test_notices_a_log_that_does_not_sync() {
    for fault in [PlantedFault::SkipSync, PlantedFault::AckBeforeSync] {
        let buggy = StoreConfig { fault: Some(fault), ..config() };
        let mut noticed = false;
        for die_at in 1..80 {
            let (_, wrong) = run(Some(die_at), 0, &buggy).await;
            if !wrong.is_empty() {
                noticed = true;
                break;
            }
        }
        assert!(noticed, "{fault:?} was not noticed");
    }
}

/// CS-08: a sync that fails once stops the store; nothing is confirmed after it.
#[tokio::test]
async fn a_failed_sync_stops_the_store() {
    let disk = FakeDisk::new();
    let store = open(&disk, config()).await.unwrap();
    let mut failed = store.failed();
    disk.plan(Plan { fail_sync: Some(1), ..Plan::default() });
    assert!(post(&store, 1, 2, 1, body(1)).await.is_err());
    failed.wait_for(Option::is_some).await.unwrap();
    assert!(post(&store, 1, 2, 2, body(2)).await.is_err());
    store.close().await;
}

/// CS-11: crashing again and again while recovering.
#[tokio::test]
async fn crashes_during_recovery_converge() {
    let disk = FakeDisk::new();
    let store = open(&disk, config()).await.unwrap();
    let mut ledger = Ledger::default();
    workload(&store, &mut ledger, 0).await;
    let mut crashed = disk.crash(0);
    for die_at in 0..10 {
        crashed.plan(Plan { die_at: Some(die_at), ..Plan::default() });
        let limit = Duration::from_secs(5);
        if let Ok(Ok(again)) = tokio::time::timeout(limit, open(&crashed, config())).await {
            again.close().await;
        }
        crashed = crashed.crash(die_at as usize * 10);
    }
    let again = open(&crashed, config()).await.unwrap();
    assert!(judge(&again, &ledger).await.is_empty());
    again.close().await;
    store.close().await;
}
