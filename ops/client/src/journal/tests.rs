//! Tests of the journal, on a disk in memory that is damaged by hand.

use std::path::Path;
use std::sync::Arc;

use crs_types::disk::Disk;

use super::*;
use crate::memory_disk::MemoryDisk;

const V1: Version = Version(1);

fn open(disk: &Arc<MemoryDisk>) -> Result<Opened<(u64, String)>, JournalError> {
    Journal::open(disk.clone() as Arc<dyn Disk>, "j", V1)
}

fn record(n: u64) -> (u64, String) {
    (n, format!("record {n}"))
}

fn filled(batches: u64) -> Arc<MemoryDisk> {
    let disk = Arc::new(MemoryDisk::default());
    let mut journal = open(&disk).unwrap().journal;
    for n in 0..batches {
        journal.append(&[record(2 * n), record(2 * n + 1)]).unwrap();
    }
    disk
}

fn bytes(disk: &MemoryDisk) -> Vec<u8> {
    disk.read(Path::new("j")).unwrap()
}

fn with(bytes: &[u8]) -> Arc<MemoryDisk> {
    let disk = Arc::new(MemoryDisk::default());
    disk.open(Path::new("j"), true).unwrap().write_at(0, bytes).unwrap();
    disk
}

#[test]
fn records_come_back_in_order() {
    let disk = filled(3);
    let opened = open(&disk).unwrap();
    assert_eq!(opened.records, (0..6).map(record).collect::<Vec<_>>());
    assert_eq!(opened.cut, 0);
}

#[test]
fn a_torn_last_batch_is_cut_at_every_byte_and_the_journal_goes_on() {
    let two = bytes(&filled(2));
    let one = bytes(&filled(1)).len();
    for length in one..two.len() {
        let disk = with(&two[..length]);
        let mut opened = open(&disk).unwrap();
        assert_eq!(opened.records, [record(0), record(1)], "cut at {length}");
        assert_eq!(opened.cut as usize, length - one);
        opened.journal.append(&[record(9)]).unwrap();
        assert_eq!(open(&disk).unwrap().records.last(), Some(&record(9)));
    }
}

#[test]
fn damage_before_intact_batches_is_refused_with_its_place() {
    let three = bytes(&filled(3));
    let one = bytes(&filled(1)).len();
    for at in [one, one + 4, one + 10] {
        let mut bad = three.clone();
        bad[at] ^= 0x40;
        match open(&with(&bad)) {
            Err(JournalError::Damaged { offset, .. }) => assert_eq!(offset as usize, one),
            other => panic!("damage at {at}: {other:?}"),
        }
    }
}

#[test]
fn foreign_files_and_newer_versions_are_named() {
    assert!(matches!(open(&with(b"#!/bin/sh\n")), Err(JournalError::Foreign { .. })));
    let disk = filled(1);
    let newer = Journal::<(u64, String)>::open(disk as Arc<dyn Disk>, "j", Version(2));
    assert!(matches!(newer, Err(JournalError::Foreign { .. })));
    // The magic was not synced when the power went.
    assert!(open(&with(b"CRSJ")).unwrap().records.is_empty());
    assert!(open(&with(&[0; 5])).unwrap().records.is_empty());
}

#[test]
fn rewriting_keeps_only_what_is_given() {
    let disk = filled(20);
    let mut journal = open(&disk).unwrap().journal;
    let before = journal.len();
    journal.rewrite(&[vec![record(1)], vec![], vec![record(2)]]).unwrap();
    assert!(journal.len() < before);
    journal.append(&[record(3)]).unwrap();
    assert_eq!(open(&disk).unwrap().records, [record(1), record(2), record(3)]);
}

#[test]
fn a_batch_beyond_the_limit_is_refused_and_nothing_is_written() {
    let disk = filled(1);
    let mut journal = open(&disk).unwrap().journal;
    let large = (7, "x".repeat(BATCH_MAX));
    assert!(matches!(journal.append(&[large]), Err(JournalError::TooLarge { .. })));
    assert_eq!(open(&disk).unwrap().records.len(), 2);
}
