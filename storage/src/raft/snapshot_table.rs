//! The rows of a snapshot file, read where they lie: the base of a table that is being filled.
//!
//! Only every frame's first key is in memory, about 4 bytes for each row of the file.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crs_types::disk::DiskFile;

use super::snapshot::{FrameView, SnapshotError, SnapshotReader, damaged, view};
use crate::table::layered::Base;
use crate::table::{Rows, TableError};

/// Frames that were read last, kept decoded.
const FRAMES_KEPT: usize = 8;

/// A snapshot's rows. The file may be removed meanwhile: it is held open.
pub(crate) struct SnapshotTable {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    frames: Vec<Frame>,
    kept: Mutex<VecDeque<(usize, Arc<Rows>)>>,
}

struct Frame {
    first: Box<[u8]>,
    offset: u64,
    length: u32,
}

impl SnapshotTable {
    /// Reads and checks the whole file. `each` sees every row, in key order.
    pub(crate) fn read<E: From<SnapshotError>>(
        mut reader: SnapshotReader,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let (file, path) = (Arc::clone(&reader.file), reader.path.clone());
        let mut frames = Vec::new();
        let mut last = Vec::new();
        let mut found = 0;
        loop {
            let offset = reader.at;
            let payload = reader.payload()?;
            let length = payload.len() as u32;
            match view(&path, offset, payload)? {
                FrameView::End { rows } => {
                    reader.ended(rows, found)?;
                    break;
                }
                FrameView::Rows(rows) => {
                    found += rows.len() as u64;
                    for (at, (key, value)) in rows.iter().enumerate() {
                        if at == 0 {
                            frames.push(Frame { first: Box::from(*key), offset, length });
                        }
                        if *key <= last.as_slice() {
                            let what = "the rows are not in the order of their keys";
                            return Err(damaged(&path, offset, what).into());
                        }
                        last.clear();
                        last.extend_from_slice(key);
                        each(key, value)?;
                    }
                }
            }
        }
        Ok(Self { file, path, frames, kept: Mutex::default() })
    }

    /// The frame that holds a key, if any does.
    fn frame_of(&self, key: &[u8]) -> Option<usize> {
        self.frames.partition_point(|frame| *frame.first <= *key).checked_sub(1)
    }

    fn frame(&self, number: usize) -> Result<Arc<Rows>, TableError> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, rows)) = kept.iter().find(|(at, _)| *at == number) {
            return Ok(Arc::clone(rows));
        }
        drop(kept);
        let rows = Arc::new(self.load(number)?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == FRAMES_KEPT {
            kept.pop_front();
        }
        kept.push_back((number, Arc::clone(&rows)));
        Ok(rows)
    }

    fn load(&self, number: usize) -> Result<Rows, TableError> {
        let Some(frame) = self.frames.get(number) else { return Ok(Rows::new()) };
        let mut bytes = vec![0; 8 + frame.length as usize];
        let read = self.file.read_at(frame.offset, &mut bytes);
        read.map_err(|e| TableError::Engine(format!("{}: {e}", self.path.display())))?;
        let (head, payload) = bytes.split_at(8);
        let corrupt = |e: SnapshotError| TableError::Corrupt { what: e.to_string() };
        if head.get(4..) != Some(crc32c::crc32c(payload).to_le_bytes().as_slice()) {
            let what = "the checksum does not match any more";
            return Err(corrupt(damaged(&self.path, frame.offset, what)));
        }
        match view(&self.path, frame.offset, payload).map_err(corrupt)? {
            FrameView::End { .. } => Ok(Rows::new()),
            FrameView::Rows(rows) => {
                Ok(rows.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect())
            }
        }
    }
}

impl Base for SnapshotTable {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        let Some(number) = self.frame_of(key) else { return Ok(None) };
        let rows = self.frame(number)?;
        let at = rows.binary_search_by(|(found, _)| found.as_slice().cmp(key));
        Ok(at.ok().and_then(|at| rows.get(at)).map(|(_, value)| value.clone()))
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Rows, TableError> {
        let mut found = Rows::new();
        for number in self.frame_of(from).unwrap_or(0)..self.frames.len() {
            let rows = self.frame(number)?;
            let start = rows.partition_point(|(key, _)| key.as_slice() < from);
            for (key, value) in rows.get(start..).unwrap_or_default() {
                if key.as_slice() >= to || found.len() == limit {
                    return Ok(found);
                }
                found.push((key.clone(), value.clone()));
            }
        }
        Ok(found)
    }
}

/// Door of the fuzz target `snapshot_file`: what both readers make of a file, as a text.
#[cfg(fuzzing)]
pub fn fuzz_snapshot(
    disk: &Arc<dyn crs_types::disk::Disk>,
    group: crs_types::GroupId,
    path: &std::path::Path,
) -> Result<Rows, String> {
    let open = || SnapshotReader::open(disk, group, path).map_err(|error| error.to_string());
    let mut plain = Rows::new();
    let mut reader = open()?;
    let copied = loop {
        match reader.next() {
            Ok(Some(rows)) => plain.extend(rows),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error.to_string()),
        }
    };
    let mut seen = Rows::new();
    let table = SnapshotTable::read(open()?, |key, value| {
        seen.push((key.to_vec(), value.to_vec()));
        Ok::<(), SnapshotError>(())
    });
    let table = table.map_err(|error| error.to_string())?;
    copied?;
    assert_eq!(seen, plain, "both readers see the same rows");
    for (key, value) in &seen {
        assert_eq!(table.get(key).expect("a row that was read"), Some(value.clone()));
    }
    let last = [0xff; 64];
    assert_eq!(
        table.range(&[], &last, usize::MAX).expect("rows that were read").len(),
        seen.iter().filter(|(key, _)| key.as_slice() < &last[..]).count()
    );
    Ok(seen)
}
