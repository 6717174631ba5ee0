//! State machine of a mailbox group: tables, which are a cache, and body segments.
//!
//! Rows with a first byte from [`LOCAL`] on belong to this node alone (where bodies lie, what is
//! applied) and are not in snapshots.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crs_types::BlobHash;
use openraft::impls::EmptyNode;
use openraft::{EntryPayload, LogId, StoredMembership};

use super::log_store::decode_entry;
use super::types::{Command, Reply};
use crate::body::{Bodies, Place};
use crate::command::mailbox::Effects;
use crate::command::mailbox::rows::{BodyRef, ItemKind, ItemRow};
use crate::command::{Body, MailboxCommand};
use crate::table::{Changes, Engine, Kv, Rows, TableError, Txn, decode_row, encode_row};
use crate::wal::GroupWal;

/// First byte of this node's own rows.
pub(crate) const LOCAL: u8 = 0xf0;
const APPLIED_KEY: &[u8] = &[0xf0];
const PLACE_KIND: u8 = 0xf1;
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
    pub(crate) bodies: Bodies,
    wal: GroupWal,
    view: Mutex<Option<View>>,
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
    ) -> Result<Self, TableError> {
        let table = RwLock::new(engine.open(&name)?);
        Ok(Self { name, engine, table, bodies, wal, view: Mutex::new(None) })
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
        self.store_bodies(&mut txn, bodies)?;
        txn.put_row(APPLIED_KEY, applied)?;
        let (changes, effects) = txn.finish();
        self.write(&*table, &changes)?;
        self.drop_dead_segments(&*table, &effects)?;
        Ok((replies, effects))
    }

    /// Writes new bodies and notes where they are; counts released ones out.
    fn store_bodies(
        &self,
        txn: &mut Txn<'_>,
        bodies: Vec<(u64, BlobHash, Body)>,
    ) -> Result<(), TableError> {
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
        for name in released {
            txn.delete(logged_key(&name));
            let key = place_key(&name);
            let Some(place) = txn.row::<Place>(&key)? else { continue };
            txn.delete(key);
            let key = segment_key(place.segment);
            let live = txn.row::<u64>(&key)?.unwrap_or(0).saturating_sub(1);
            txn.put_row(&key, &live)?;
        }
        Ok(())
    }

    /// Removes segments whose last body was released, except the one that is written to.
    fn drop_dead_segments(&self, table: &dyn Kv, effects: &Effects) -> Result<(), TableError> {
        if effects.released.is_empty() {
            return Ok(());
        }
        let mut gone = Changes::new();
        for (key, value) in table.range(&[SEGMENT_KIND], &[SEGMENT_KIND + 1], usize::MAX)? {
            let number = key.get(1..).and_then(|n| n.first_chunk()).map(|n| u64::from_be_bytes(*n));
            if let Some(number) = number
                && decode_row::<u64>(&key, &value)? == 0
                && self.bodies.remove(number)
            {
                gone.insert(key, None);
            }
        }
        if gone.is_empty() { Ok(()) } else { table.write(&gone) }
    }

    /// Writes changes; a snapshot being taken keeps what they replace.
    fn write(&self, table: &dyn Kv, changes: &Changes) -> Result<(), TableError> {
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

    /// The next rows of the snapshot; empty at its end.
    pub(crate) fn next_view(&self) -> Result<Rows, TableError> {
        let mut guard = self.view();
        let table = self.table();
        let Some(view) = guard.as_mut() else { return Ok(Vec::new()) };
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
                return Ok(rows);
            }
        }
    }

    /// Ends the snapshot, finished or not.
    pub(crate) fn end_view(&self) {
        *self.view() = None;
    }

    /// Empties the tables and opens them anew.
    pub(crate) fn clear(&self) -> Result<(), TableError> {
        self.end_view();
        self.engine.clear(&self.name)?;
        let fresh = self.engine.open(&self.name)?;
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Fills emptied tables from snapshot rows; `rows` gives the next ones until there are none.
    pub(crate) fn install<E: From<TableError>>(
        &self,
        applied: &Applied,
        mut rows: impl FnMut() -> Result<Option<Rows>, E>,
    ) -> Result<(), E> {
        let table = self.table();
        let mut places = BTreeMap::new();
        let scanned = self.bodies.scan(|name, place| {
            places.insert(name, place);
        });
        scanned.map_err(|e| TableError::disk(&e))?;
        let mut kept = BTreeSet::new();
        while let Some(chunk) = rows()? {
            let mut txn = Txn::new(&*table);
            for (key, value) in chunk {
                if let Some(name) = body_of(&key, &value)?
                    && let Some(place) = places.get(&name)
                {
                    note_place(&mut txn, name, *place)?;
                    kept.insert(place.segment);
                }
                txn.put(key, value);
            }
            table.write(&txn.finish().0)?;
        }
        let mut last = Changes::new();
        last.insert(APPLIED_KEY.to_vec(), Some(encode_row(applied)?));
        table.write(&last)?;
        self.bodies.retain(&kept).map_err(|e| TableError::disk(&e))?;
        Ok(())
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

    fn view(&self) -> MutexGuard<'_, Option<View>> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn note_place(txn: &mut Txn<'_>, name: BlobHash, place: Place) -> Result<(), TableError> {
    let key = place_key(&name);
    if txn.get(&key)?.is_none() {
        let segment = segment_key(place.segment);
        let live = txn.row::<u64>(&segment)?.unwrap_or(0) + 1;
        txn.put_row(&segment, &live)?;
    }
    txn.put_row(&key, &place)
}

fn place_key(name: &BlobHash) -> Vec<u8> {
    [&[PLACE_KIND], name.0.as_slice()].concat()
}

fn logged_key(name: &BlobHash) -> Vec<u8> {
    [&[LOGGED_KIND], name.0.as_slice()].concat()
}

fn segment_key(number: u64) -> Vec<u8> {
    [&[SEGMENT_KIND], number.to_be_bytes().as_slice()].concat()
}

/// The segment body that a row names, when it is an item with one.
fn body_of(key: &[u8], value: &[u8]) -> Result<Option<BlobHash>, TableError> {
    if key.first() != Some(&b'i') {
        return Ok(None);
    }
    match decode_row::<ItemRow>(key, value)?.kind {
        ItemKind::Content { body: BodyRef::Segment { hash, .. }, .. } => Ok(Some(hash)),
        ItemKind::Content { body: BodyRef::Inline(_), .. } | ItemKind::Receipt { .. } => Ok(None),
    }
}
