//! The journal on a disk that fails: at every operation, with everything that may be left of it.

use super::*;
use crate::fault_disk::{FaultDisk, Survives};

const V1: Version = Version(1);

fn open(disk: &FaultDisk) -> Result<Opened<u64>, JournalError> {
    Journal::open(Arc::new(disk.clone()), "a.journal", V1)
}

/// What is done to a journal.
enum Step {
    Append(&'static [u64]),
    Rewrite(&'static [u64]),
}

const SCRIPT: [Step; 6] = [
    Step::Append(&[1]),
    Step::Append(&[2, 3]),
    Step::Rewrite(&[2, 3]),
    Step::Append(&[4]),
    Step::Rewrite(&[4]),
    Step::Append(&[5, 6, 7]),
];

/// Runs the script until the power goes: what was there for certain, and what the interrupted
/// step would have made of it.
fn run(disk: &FaultDisk) -> (Vec<u64>, Vec<u64>) {
    let Ok(opened) = open(disk) else { return (Vec::new(), Vec::new()) };
    let (mut journal, mut certain) = (opened.journal, Vec::new());
    for step in &SCRIPT {
        let (next, done) = match step {
            Step::Append(records) => {
                ([certain.as_slice(), *records].concat(), journal.append(records))
            }
            Step::Rewrite(records) => (records.to_vec(), journal.rewrite(&[records.to_vec()])),
        };
        match done {
            Ok(()) => certain = next,
            Err(_) => return (certain, next),
        }
    }
    (certain.clone(), certain)
}

#[test]
fn a_loss_of_power_at_every_operation_loses_nothing_that_was_certain() {
    let mut changes = 0;
    loop {
        changes += 1;
        let disk = FaultDisk::default();
        disk.lose_power_after(changes);
        let (certain, next) = run(&disk);
        for survives in Survives::ALL {
            for renames in [false, true] {
                let what = format!("after {changes} changes, {survives:?}, renames: {renames}");
                let left = disk.restarted(survives, renames);
                let mut opened = open(&left).unwrap_or_else(|e| panic!("{what}: {e}"));
                let found = opened.records;
                assert!(found == certain || found == next, "{what}: {found:?} of {certain:?}");
                // It goes on from there, and another start finds all of it.
                opened.journal.append(&[99]).unwrap();
                let again = open(&left.restarted(Survives::Synced, false)).unwrap();
                assert_eq!(again.records, [found.as_slice(), &[99]].concat(), "{what}");
            }
        }
        if !disk.is_dead() {
            assert!(changes > 20, "each step has several operations");
            return;
        }
    }
}

#[test]
fn a_full_disk_takes_nothing_and_leaves_nothing_behind() {
    let disk = FaultDisk::default();
    let mut journal = open(&disk).unwrap().journal;
    journal.append(&[1]).unwrap();
    let before = disk.content("a.journal");
    disk.fill(true);
    let refused = journal.append(&[2]).unwrap_err();
    assert!(matches!(refused, JournalError::Io { .. }), "{refused}");
    assert_eq!(disk.content("a.journal"), before);
    assert!(journal.rewrite(&[vec![1]]).is_err());
    assert_eq!(disk.list(Path::new("")).unwrap(), ["a.journal"], "no half-written file stays");
    assert_eq!(disk.content("a.journal"), before);
    disk.fill(false);
    journal.append(&[3]).unwrap();
    assert_eq!(open(&disk).unwrap().records, [1, 3]);
}

#[test]
fn a_failed_sync_ends_the_journal_and_what_it_refused_does_not_come_back() {
    let disk = FaultDisk::default();
    let mut journal = open(&disk).unwrap().journal;
    journal.append(&[1]).unwrap();
    disk.fail_sync();
    assert!(journal.append(&[2]).is_err());
    for _ in 0..2 {
        assert!(matches!(journal.append(&[3]), Err(JournalError::Failed(_))));
        assert!(matches!(journal.rewrite(&[vec![3]]), Err(JournalError::Failed(_))));
    }
    assert_eq!(open(&disk).unwrap().records, [1]);
}
