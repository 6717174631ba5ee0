//! Giving disk space back: live bodies move out of segments that hold little else than released
//! ones. Without it one message that nobody fetches keeps a whole segment for 35 days.
//!
//! Copy, sync, change the references, write those back, remove: at every moment there is a
//! segment with the body that the tables name, whatever is lost in a crash. Where both copies are
//! found by a rebuild, either will do.

use std::collections::BTreeMap;

use super::StateError;
use super::mailbox_state::{MailboxMachine, PLACE_KIND, note_place, place_key, segment_key};
use super::snapshot::SnapshotError;
use crate::body::Place;
use crate::table::{TableError, Txn, decode_row};

/// A segment of which less than one part in this many is live is emptied.
const SPARSE: u64 = 2;
/// Bytes of bodies that are moved at a time; applying waits meanwhile.
const MOVE_BYTES: u64 = 1 << 20;
/// Places that are read at a time.
const CHUNK: usize = 4_096;

impl MailboxMachine {
    /// Segments that should be emptied, the emptiest first.
    pub(crate) fn sparse_segments(&self) -> Result<Vec<u64>, TableError> {
        let sealed = self.bodies.sealed().map_err(|e| TableError::disk(&e))?;
        if sealed.is_empty() {
            return Ok(Vec::new());
        }
        let live = self.live_bytes()?;
        let share = |(number, length): &(u64, u64)| {
            (
                live.get(number).copied().unwrap_or(0).saturating_mul(1_000) / (*length).max(1),
                *number,
            )
        };
        let mut sparse: Vec<_> =
            sealed.iter().map(share).filter(|(share, _)| *share < 1_000 / SPARSE).collect();
        sparse.sort_unstable();
        Ok(sparse.into_iter().map(|(_, number)| number).collect())
    }

    /// Bytes of live bodies by segment.
    fn live_bytes(&self) -> Result<BTreeMap<u64, u64>, TableError> {
        let table = self.table();
        let mut live = BTreeMap::new();
        let mut from = vec![PLACE_KIND];
        loop {
            let found = table.range(&from, &[PLACE_KIND + 1], CHUNK)?;
            let Some((last, _)) = found.last() else { return Ok(live) };
            from = [last.as_slice(), &[0]].concat();
            for (key, value) in &found {
                let place: Place = decode_row(key, value)?;
                *live.entry(place.segment).or_default() += u64::from(place.length);
            }
        }
    }

    /// Moves some of a segment's live bodies to the one that is written to, and removes it when
    /// none is left; true then. Nothing may be applied meanwhile.
    pub(crate) fn empty_segment(&self, number: u64) -> Result<bool, StateError> {
        let table = self.table();
        let mut live = Vec::new();
        let mut bytes = 0;
        let mut more = false;
        for (name, place) in self.bodies.records(number).map_err(|e| TableError::disk(&e))? {
            let key = place_key(&name);
            let named = table.get(&key)?.map(|value| decode_row::<Place>(&key, &value));
            if named.transpose()? != Some(place) {
                continue;
            }
            more = bytes >= MOVE_BYTES;
            if more {
                break;
            }
            bytes += u64::from(place.length);
            live.push((name, place));
        }
        let mut txn = Txn::new(&*table);
        for (name, place) in &live {
            let Some(body) = self.bodies.get(*name, *place) else {
                // It is damaged: readers are told so, and the segment stays.
                return Ok(true);
            };
            let moved = self.bodies.put(*name, &body).map_err(|e| TableError::disk(&e))?;
            txn.delete(place_key(name));
            note_place(&mut txn, *name, moved)?;
        }
        self.bodies.sync().map_err(SnapshotError::bodies)?;
        let key = segment_key(number);
        let left = txn.row::<u64>(&key)?.unwrap_or(0).saturating_sub(live.len() as u64);
        txn.put_row(&key, &left)?;
        self.write(&*table, &txn.finish().0)?;
        if more {
            return Ok(false);
        }
        if left > 0 && self.live_bytes()?.contains_key(&number) {
            // A damaged record hides those behind it from the walk, but not from their readers.
            tracing::warn!(segment = number, "a damaged body segment stays until it is empty");
            return Ok(true);
        }
        self.flush()?;
        if self.bodies.remove(number) {
            table.write(&[(key, None)].into())?;
        }
        Ok(true)
    }
}
