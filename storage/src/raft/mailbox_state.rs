//! State machine of a mailbox group: tables, which are a cache, and body segments.
//!
//! Rows with a first byte from [`LOCAL`] on belong to this node alone (where bodies lie, what is
//! applied) and are not in snapshots.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crs_types::BlobHash;
use openraft::impls::EmptyNode;
use openraft::{EntryPayload, LogId, StoredMembership};

use super::SnapshotTable;
use super::log_store::decode_entry;
use super::snapshot::{SnapshotError, SnapshotReader};
use super::types::{Command, Reply};
use crate::body::{Bodies, Place};
use crate::command::mailbox::Effects;
use crate::command::mailbox::rows::{BodyRef, ItemKind, ItemRow};
use crate::command::{Body, MailboxCommand};
use crate::table::layered::{Base, Layered};
use crate::table::{Changes, Engine, Kv, Rows, TableError, Txn, decode_row};
use crate::wal::GroupWal;

/// First byte of this node's own rows.
pub(crate) const LOCAL: u8 = 0xf0;
const APPLIED_KEY: &[u8] = &[0xf0];
pub(super) const PLACE_KIND: u8 = 0xf1;
const SEGMENT_KIND: u8 = 0xf2;
/// Bodies for which the disk had no room: they are read from their entry in the log, and moved
/// to a segment before a snapshot lets the entry go.
const LOGGED_KIND: u8 = 0xf3;
/// Rows of a snapshot that are read or written at a time.
pub(crate) const CHUNK: usize = 512;

/// How far the tables are.
pub(crate) type Applied = (Option<LogId<u64>>, StoredMembership<u64, EmptyNode>);

/// A mailbox group's tables.
pub(crate) struct MailboxMachine {
    name: String,
    engine: Arc<dyn Engine>,
    table: RwLock<Arc<dyn Kv>>,
    /// The table while its rows move into the engine; held for every step of that.
    filling: Mutex<Option<Arc<Layered>>>,
    /// Bytes of rows in memory meanwhile.
    fill_bytes: usize,
    pub(crate) bodies: Bodies,
    wal: GroupWal,
    view: Mutex<Option<View>>,
    /// Body segments that may have nothing live any more but are still there; all have to be
    /// looked at while there is none.
    dead: Mutex<Option<BTreeSet<u64>>>,
}

/// A snapshot being taken: keys up to `cursor` are written; of the others, those that have
/// changed since it began are kept here as they were.
struct View {
    cursor: Option<Vec<u8>>,
    kept: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl MailboxMachine {
    pub(crate) fn open(
        name: String,
        engine: Arc<dyn Engine>,
        bodies: Bodies,
        wal: GroupWal,
        fill_bytes: usize,
    ) -> Result<Self, TableError> {
        let table = RwLock::new(engine.open(&name)?);
        let (filling, view, dead) = (Mutex::default(), Mutex::default(), Mutex::default());
        Ok(Self { name, engine, table, filling, fill_bytes, bodies, wal, view, dead })
    }

    pub(crate) fn table(&self) -> Arc<dyn Kv> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How far the tables are; nothing when they are empty.
    pub(crate) fn applied(&self) -> Result<Option<Applied>, TableError> {
        let value = self.table().get(APPLIED_KEY)?;
        value.map(|value| decode_row(APPLIED_KEY, &value)).transpose()
    }

    /// Applies the commands of several entries as one batch of changes.
    pub(crate) fn apply(
        &self,
        batches: &[(u64, &[Command])],
        applied: &Applied,
    ) -> Result<(Vec<Vec<Reply>>, Effects), TableError> {
        let table = self.table();
        let mut txn = Txn::new(&*table);
        let mut replies = Vec::with_capacity(batches.len());
        let mut bodies = Vec::new();
        for (index, batch) in batches {
            let each = batch.iter().map(|command| match command {
                Command::Mailbox(command) => command.apply(&mut txn).map(Reply::Mailbox),
                Command::Control(_) => Ok(Reply::WrongGroup),
            });
            replies.push(each.collect::<Result<Vec<_>, _>>()?);
            let new = std::mem::take(&mut txn.effects.bodies);
            bodies.extend(new.into_iter().map(|(name, body)| (*index, name, body)));
        }
        let emptied = self.store_bodies(&mut txn, bodies)?;
        txn.put_row(APPLIED_KEY, applied)?;
        let (changes, effects) = txn.finish();
        self.write(&*table, &changes)?;
        if !effects.released.is_empty() {
            self.drop_dead_segments(&*table, emptied)?;
        }
        Ok((replies, effects))
    }

    /// Writes new bodies and notes where they are; counts released ones out. Returns the segments
    /// that have nothing live left.
    fn store_bodies(
        &self,
        txn: &mut Txn<'_>,
        bodies: Vec<(u64, BlobHash, Body)>,
    ) -> Result<BTreeSet<u64>, TableError> {
        let released: BTreeSet<BlobHash> = txn.effects.released.iter().copied().collect();
        for (index, name, body) in bodies {
            if released.contains(&name) {
                continue;
            }
            match self.bodies.put(name, body.as_bytes()).map_err(|e| TableError::disk(&e)) {
                Ok(place) => note_place(txn, name, place)?,
                Err(TableError::DiskFull(_)) => txn.put_row(&logged_key(&name), &index)?,
                Err(other) => return Err(other),
            }
        }
        let mut emptied = BTreeSet::new();
        for name in released {
            txn.delete(logged_key(&name));
            let key = place_key(&name);
            let Some(place) = txn.row::<Place>(&key)? else { continue };
            txn.delete(key);
            let key = segment_key(place.segment);
            let live = txn.row::<u64>(&key)?.unwrap_or(0).saturating_sub(1);
            txn.put_row(&key, &live)?;
            if live == 0 {
                emptied.insert(place.segment);
            }
        }
        Ok(emptied)
    }

    /// Removes segments whose last body was released. The one that is written to stays and is
    /// looked at again at the next release; so are, once, all that an earlier run left.
    fn drop_dead_segments(&self, table: &dyn Kv, emptied: BTreeSet<u64>) -> Result<(), TableError> {
        let mut dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
        let mut looked_at = match dead.take() {
            Some(left) => left,
            None => segments_of(&table.range(&[SEGMENT_KIND], &[SEGMENT_KIND + 1], usize::MAX)?),
        };
        looked_at.extend(emptied);
        let (mut gone, mut left) = (Changes::new(), BTreeSet::new());
        for number in looked_at {
            let key = segment_key(number);
            let Some(value) = table.get(&key)? else { continue };
            if decode_row::<u64>(&key, &value)? > 0 {
                continue;
            }
            if self.bodies.remove(number) {
                gone.insert(key, None);
            } else {
                left.insert(number);
            }
        }
        *dead = Some(left);
        if gone.is_empty() { Ok(()) } else { table.write(&gone) }
    }

    /// Writes changes; a snapshot being taken keeps what they replace.
    pub(super) fn write(&self, table: &dyn Kv, changes: &Changes) -> Result<(), TableError> {
        let mut view = self.view();
        if let Some(view) = view.as_mut() {
            for key in changes.keys().filter(|key| key.first().is_some_and(|b| *b < LOCAL)) {
                let ahead = view.cursor.as_ref().is_none_or(|cursor| key > cursor);
                if ahead && !view.kept.contains_key(key) {
                    view.kept.insert(key.clone(), table.get(key)?);
                }
            }
        }
        table.write(changes)
    }

    /// Moves bodies that lie in the log only to segments. A full disk is an error here: what the
    /// log alone holds must not be snapshot away.
    pub(crate) fn settle_bodies(&self) -> Result<(), TableError> {
        let table = self.table();
        let logged = table.range(&[LOGGED_KIND], &[LOGGED_KIND + 1], usize::MAX)?;
        for (key, _) in logged {
            let hash = key.get(1..).and_then(|hash| hash.first_chunk()).copied();
            let Some(name) = hash.map(BlobHash) else { continue };
            let Some(body) = self.body(name)? else {
                let what = "a body that only the log holds is not there".to_owned();
                return Err(TableError::Corrupt { what });
            };
            let place = self.bodies.put(name, &body).map_err(|e| TableError::disk(&e))?;
            let mut txn = Txn::new(&*table);
            note_place(&mut txn, name, place)?;
            txn.delete(key);
            table.write(&txn.finish().0)?;
        }
        Ok(())
    }

    /// Begins a snapshot: from here on it shows the tables as they are now. Returns how far
    /// they are.
    pub(crate) fn begin_view(&self) -> Result<Option<Applied>, TableError> {
        let mut view = self.view();
        let applied = self.applied()?;
        *view = Some(View { cursor: None, kept: BTreeMap::new() });
        Ok(applied)
    }

    /// The next rows of the snapshot, empty at its end; `None` when it was ended, because the
    /// tables are made anew.
    pub(crate) fn next_view(&self) -> Result<Option<Rows>, TableError> {
        let mut guard = self.view();
        let table = self.table();
        let Some(view) = guard.as_mut() else { return Ok(None) };
        loop {
            // The smallest key after the cursor is the cursor and a zero byte.
            let from =
                view.cursor.as_ref().map_or_else(Vec::new, |c| [c.as_slice(), &[0]].concat());
            let stored = table.range(&from, &[LOCAL], CHUNK)?;
            let last = stored.last().map(|(key, _)| key.clone());
            let ended = stored.len() < CHUNK;
            let kept = match &last {
                Some(last) if !ended => {
                    let later = view.kept.split_off(&[last.as_slice(), &[0]].concat());
                    std::mem::replace(&mut view.kept, later)
                }
                Some(_) | None => std::mem::take(&mut view.kept),
            };
            let mut merged: BTreeMap<Vec<u8>, Option<Vec<u8>>> =
                stored.into_iter().map(|(key, value)| (key, Some(value))).collect();
            merged.extend(kept);
            view.cursor = if ended { Some(vec![LOCAL]) } else { last };
            let rows: Rows = merged.into_iter().filter_map(|(k, v)| v.map(|v| (k, v))).collect();
            if !rows.is_empty() || ended {
                return Ok(Some(rows));
            }
        }
    }

    /// Ends the snapshot, finished or not.
    pub(crate) fn end_view(&self) {
        *self.view() = None;
    }

    /// Empties the tables.
    pub(crate) fn clear(&self) -> Result<(), TableError> {
        self.start_over(None)?;
        self.bodies.retain(&BTreeSet::new()).map_err(|e| TableError::disk(&e))
    }

    /// Puts a snapshot in the place of the tables. Its rows are read where they lie until they
    /// have moved ([`MailboxMachine::fill_step`]).
    pub(crate) fn install<E: From<TableError> + From<SnapshotError>>(
        &self,
        applied: &Applied,
        reader: SnapshotReader,
    ) -> Result<(), E> {
        let mut places = BTreeMap::new();
        let scanned = self.bodies.scan(|name, place| {
            places.insert(name, place);
        });
        scanned.map_err(|e| TableError::disk(&e))?;
        let mut live = Vec::new();
        let base = SnapshotTable::read(reader, |key, value| {
            // Decoding every item takes its time.
            let name = if places.is_empty() { None } else { body_of(key, value)? };
            live.extend(name.and_then(|name| places.get(&name).map(|place| (name, *place))));
            Ok::<_, E>(())
        })?;
        let table = self.start_over(Some(Arc::new(base)))?;
        let mut txn = Txn::new(&*table);
        for (name, place) in &live {
            note_place(&mut txn, *name, *place)?;
        }
        txn.put_row(APPLIED_KEY, applied)?;
        table.write(&txn.finish().0)?;
        let kept = live.iter().map(|(_, place)| place.segment).collect();
        self.bodies.retain(&kept).map_err(|e| TableError::disk(&e))?;
        Ok(())
    }

    /// Empties the engine's table and lets it be filled from `base`.
    fn start_over(&self, base: Option<Arc<dyn Base>>) -> Result<Arc<dyn Kv>, TableError> {
        self.end_view();
        // What is moving would otherwise put old rows into the new table.
        let mut filling = self.filling();
        *filling = None;
        self.engine.clear(&self.name)?;
        let table = self.engine.open(&self.name)?;
        let fresh = Arc::new(Layered::over(table, base, self.fill_bytes));
        *filling = Some(Arc::clone(&fresh));
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = fresh.clone();
        Ok(fresh)
    }

    /// Moves the next rows of a table that is being filled into the engine; true when none are
    /// left.
    pub(crate) fn fill_step(&self) -> Result<bool, TableError> {
        let mut filling = self.filling();
        let Some(table) = filling.as_ref() else { return Ok(true) };
        let done = table.step()?;
        if done {
            *filling = None;
        }
        Ok(done)
    }

    /// The body in the segments under this name.
    pub(crate) fn body(&self, name: BlobHash) -> Result<Option<Vec<u8>>, TableError> {
        let key = place_key(&name);
        let place = self.table().get(&key)?;
        if let Some(place) = place.map(|value| decode_row::<Place>(&key, &value)).transpose()? {
            return Ok(self.bodies.get(name, place));
        }
        let key = logged_key(&name);
        let index = self.table().get(&key)?;
        let index = index.map(|value| decode_row::<u64>(&key, &value)).transpose()?;
        Ok(index.and_then(|index| self.logged_body(name, index)))
    }

    /// A body out of the entry that posted it.
    fn logged_body(&self, name: BlobHash, index: u64) -> Option<Vec<u8>> {
        let (mark, bytes) = self.wal.read_blocking(index..index + 1, usize::MAX).ok()?.pop()?;
        let EntryPayload::Normal(batch) = decode_entry(mark, &bytes).ok()?.payload else {
            return None;
        };
        batch.0.iter().find_map(|command| match command {
            Command::Mailbox(MailboxCommand::Post(post)) if post.body_name() == name => {
                Some(post.body.as_bytes().to_vec())
            }
            Command::Mailbox(_) | Command::Control(_) => None,
        })
    }

    fn filling(&self) -> MutexGuard<'_, Option<Arc<Layered>>> {
        self.filling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the engine's tables keep what was written even if the process is killed.
    pub(super) fn flush(&self) -> Result<(), TableError> {
        self.engine.flush()
    }

    fn view(&self) -> MutexGuard<'_, Option<View>> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn note_place(
    txn: &mut Txn<'_>,
    name: BlobHash,
    place: Place,
) -> Result<(), TableError> {
    let key = place_key(&name);
    if txn.get(&key)?.is_none() {
        let segment = segment_key(place.segment);
        let live = txn.row::<u64>(&segment)?.unwrap_or(0) + 1;
        txn.put_row(&segment, &live)?;
    }
    txn.put_row(&key, &place)
}

pub(super) fn place_key(name: &BlobHash) -> Vec<u8> {
    [&[PLACE_KIND], name.0.as_slice()].concat()
}

fn logged_key(name: &BlobHash) -> Vec<u8> {
    [&[LOGGED_KIND], name.0.as_slice()].concat()
}

pub(super) fn segment_key(number: u64) -> Vec<u8> {
    [&[SEGMENT_KIND], number.to_be_bytes().as_slice()].concat()
}

/// The segments that counters are for.
fn segments_of(counters: &Rows) -> BTreeSet<u64> {
    let number = |key: &[u8]| key.get(1..)?.first_chunk().map(|n| u64::from_be_bytes(*n));
    counters.iter().filter_map(|(key, _)| number(key)).collect()
}

/// The segment body that a row names, when it is an item with one.
pub(super) fn body_of(key: &[u8], value: &[u8]) -> Result<Option<BlobHash>, TableError> {
    if key.first() != Some(&b'i') {
        return Ok(None);
    }
    match decode_row::<ItemRow>(key, value)?.kind {
        ItemKind::Content { body: BodyRef::Segment { hash, .. }, .. } => Ok(Some(hash)),
        ItemKind::Content { body: BodyRef::Inline(_), .. } | ItemKind::Receipt { .. } => Ok(None),
    }
}
