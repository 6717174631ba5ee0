//! The storage suite of the Raft library, run on the real log and state machines.

mod install;
mod segments;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use crs_types::disk::Disk;
use crs_types::{GroupId, SystemClock};
use openraft::StorageError;
use openraft::testing::{StoreBuilder, Suite};

use super::{ControlMachine, GroupState, LogStore, Machine, MailboxMachine, StateMachine};
use crate::body::Bodies;
use crate::raft::TypeConfig;
use crate::table::Engine;
use crate::table::memory::MemoryEngine;
use crate::testing::FakeDisk;
use crate::wal::{Wal, WalConfig};

/// A small log on a disk.
fn log(disk: &Arc<dyn Disk>) -> Wal {
    let config =
        WalConfig { segment_bytes: 1 << 16, reserve_bytes: 1 << 16, ..WalConfig::default() };
    Wal::open(Arc::clone(disk), Arc::new(SystemClock::new()), &config).unwrap()
}

/// A mailbox group on a disk, its tables in `engine`.
fn mailbox(
    disk: &Arc<dyn Disk>,
    wal: &Wal,
    group: GroupId,
    engine: Arc<dyn Engine>,
) -> MailboxMachine {
    let bodies = Bodies::open(Arc::clone(disk), group, 8 << 20).unwrap();
    MailboxMachine::open("m".to_owned(), engine, bodies, wal.group(group), 1 << 20).unwrap()
}

struct Builder {
    group: GroupId,
    sled: bool,
}

struct Guard {
    _wal: Wal,
    _dir: Option<tempfile::TempDir>,
}

impl StoreBuilder<TypeConfig, LogStore, StateMachine, Guard> for Builder {
    async fn build(&self) -> Result<(Guard, LogStore, StateMachine), StorageError<u64>> {
        let disk: Arc<dyn Disk> = Arc::new(FakeDisk::new());
        let wal = log(&disk);
        let dir = self.sled.then(|| tempfile::tempdir().unwrap());
        let engine: Arc<dyn Engine> = match &dir {
            Some(dir) => Arc::new(crate::kv::SledEngine::open(dir.path(), 1 << 20).unwrap()),
            None => Arc::new(MemoryEngine::default()),
        };
        let machine = if self.group == GroupId::CONTROL {
            Machine::Control(ControlMachine::new())
        } else {
            Machine::Mailbox(Box::new(mailbox(&disk, &wal, self.group, engine)))
        };
        let group_wal = wal.group(self.group);
        let state = GroupState::open(
            self.group,
            machine,
            false,
            disk,
            group_wal.clone(),
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
            Box::new(|_| {}),
        )
        .unwrap();
        let machine = StateMachine::new(Arc::new(state));
        Ok((Guard { _wal: wal, _dir: dir }, LogStore::new(group_wal), machine))
    }
}

#[test]
fn the_control_group_passes_the_storage_suite() {
    Suite::test_all(Builder { group: GroupId(0), sled: false }).unwrap();
}

#[test]
fn a_mailbox_group_in_memory_passes_the_storage_suite() {
    Suite::test_all(Builder { group: GroupId(1), sled: false }).unwrap();
}

#[test]
fn a_mailbox_group_in_sled_passes_the_storage_suite() {
    Suite::test_all(Builder { group: GroupId(1), sled: true }).unwrap();
}
