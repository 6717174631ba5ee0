//! Segments of the write-ahead log, as bytes and as records with good checksums and any content:
//! refused by name, or read, and then found the same by the next start.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use crs_storage::testing::FakeDisk;
use crs_storage::wal::{Wal, WalConfig, WalError};
use crs_types::disk::Disk;
use crs_types::{GroupId, SystemClock};
use libfuzzer_sys::fuzz_target;

const GROUPS: u16 = 3;
const SIZE: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    let Some((mode, rest)) = bytes.split_first() else { return };
    let mut content = header(1);
    if mode % 2 == 0 {
        content.extend_from_slice(rest);
    } else {
        records(rest, &mut content);
    }
    content.resize(content.len().max(SIZE), 0);
    let disk = FakeDisk::new();
    disk.create_dir(Path::new("wal")).expect("a directory");
    let file = disk.open(Path::new("wal/0000000000000001.wal"), true).expect("a file");
    file.write_at(0, &content).expect("written");
    file.sync().expect("synced");
    disk.sync_dir(Path::new("wal")).expect("synced");
    let first = read(&disk);
    // What a start has cut is cut; what it has refused it refuses again.
    assert_eq!(read(&disk.kill()), first);
});

type Content = Vec<(Option<Vec<u8>>, Vec<(u64, Vec<u8>)>)>;

fn read(disk: &FakeDisk) -> Result<Content, WalError> {
    let config = WalConfig { segment_bytes: 8192, reserve_bytes: 4096, ..WalConfig::default() };
    let wal = Wal::open(Arc::new(disk.clone()), Arc::new(SystemClock::new()), &config)?;
    let group = |id| {
        let group = wal.group(GroupId(id));
        let entries = group.read_blocking(0..u64::MAX, usize::MAX)?;
        let plain = entries.into_iter().map(|(mark, bytes)| (mark.index, bytes.to_vec()));
        Ok((group.vote().map(|vote| vote.to_vec()), plain.collect()))
    };
    let content = (0..GROUPS).map(group).collect();
    wal.close();
    content
}

/// The layouts are those of storage/src/wal/segment.rs and record.rs.
fn header(number: u64) -> Vec<u8> {
    let mut out = b"CRSWAL\x00\x01".to_vec();
    out.extend_from_slice(&number.to_le_bytes());
    let sum = u64::from(crc32c::crc32c(&out));
    out.extend_from_slice(&sum.to_le_bytes());
    out.resize(64, 0);
    out
}

/// Each record from five bytes and its content.
fn records(mut rest: &[u8], out: &mut Vec<u8>) {
    let mut seq = 1u64;
    while let [kind, group, step, index, length, tail @ ..] = rest {
        let (content, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        // Mostly consecutive; now and then a number from the far end.
        let wide = |byte: u8| if byte >= 0xf0 { u64::MAX - u64::from(!byte) } else { byte.into() };
        let mut payload = Vec::new();
        if kind % 8 >= 2 {
            for word in [1, 1, wide(*index)] {
                payload.extend_from_slice(&u64::to_le_bytes(word));
            }
        }
        payload.extend_from_slice(content);
        let durable = seq.saturating_sub(u64::from(*step % 4));
        record(out, seq, durable, u16::from(*group) % GROUPS, kind % 8, &payload);
        seq = seq.wrapping_add(if *step < 0xe0 { 1 } else { wide(*step) });
    }
}

fn record(out: &mut Vec<u8>, seq: u64, durable: u64, group: u16, kind: u8, payload: &[u8]) {
    let mut covered = Vec::new();
    covered.extend_from_slice(&seq.to_le_bytes());
    covered.extend_from_slice(&durable.to_le_bytes());
    covered.extend_from_slice(&group.to_le_bytes());
    covered.extend_from_slice(&[kind, 1, 0, 0, 0, 0]);
    covered.extend_from_slice(payload);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(&covered).to_le_bytes());
    out.extend_from_slice(&covered);
    out.resize(out.len().next_multiple_of(8), 0);
}
