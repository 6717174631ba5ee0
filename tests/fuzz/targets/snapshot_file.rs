//! Snapshot files: as bytes, and as frames with good checksums and any content. Both readers see
//! the same rows, or at least one of them says what is wrong.
#![no_main]

use std::path::Path;
use std::sync::{Arc, Once};

use crs_storage::table::Rows;
use crs_storage::testing::FakeDisk;
use crs_types::GroupId;
use crs_types::disk::Disk;
use libfuzzer_sys::fuzz_target;

/// A head for group 1 that covers nothing, and an end after no rows, behind their version.
const HEAD: &[u8] = &[1, 1, 0, 0, 0, 0, 0];
const END: &[u8] = &[1, 1, 0];
static SOUND: Once = Once::new();

fuzz_target!(|bytes: &[u8]| {
    SOUND.call_once(|| {
        let empty = [magic(), frame(HEAD), frame(END)].concat();
        assert_eq!(read(&empty), Ok(Rows::new()), "the frames are not those of a snapshot");
    });
    let Some((mode, rest)) = bytes.split_first() else { return };
    let mut content = magic();
    if mode % 2 == 0 {
        content.extend_from_slice(rest);
    } else {
        content.extend(frame(HEAD));
        for part in rest.split(|byte| *byte == 0xfe) {
            content.extend(frame(&[&[1], part].concat()));
        }
    }
    let _ = read(&content);
});

fn read(content: &[u8]) -> Result<Rows, String> {
    let path = Path::new("groups/1/a.snp");
    let disk: Arc<dyn Disk> = Arc::new(FakeDisk::new());
    let file = disk.open(path, true).expect("a file");
    file.write_at(0, content).expect("written");
    crs_storage::raft::fuzz_snapshot(&disk, GroupId(1), path)
}

fn magic() -> Vec<u8> {
    b"CRSSNAP\x01".to_vec()
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let (length, sum) = (payload.len() as u32, crc32c::crc32c(payload));
    [&length.to_le_bytes(), &sum.to_le_bytes(), payload].concat()
}
