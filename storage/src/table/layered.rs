//! A table that is being filled: it can be read and written at once, and its rows move into the
//! engine's table little by little.
//!
//! Rows below a key, which rises, lie in the engine's table. Those above it lie in a base that
//! does not change (a snapshot) and, as far as they are newer, in memory. Row by row the engine
//! takes tens of microseconds, so that filling it first would keep a node with a million messages
//! from starting for a minute.
//!
//! Nothing here need survive: the mark that says how far a table is has the highest key, moves
//! last, and without it the table is filled anew at the next start.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{Changes, Kv, Rows, TableError};

/// Rows that are moved, or read from the base, at a time.
const STEP: usize = 512;
/// Rows of the base that are looked at even when fewer are wanted: some may be hidden.
const LEAST: usize = 16;
/// About what a row in memory takes besides its bytes.
const ROW_COST: usize = 48;
/// Above every key.
const END: &[u8] = &[0xff];

/// Rows that do not change.
pub trait Base: Send + Sync + 'static {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError>;
    /// Up to `limit` rows with `from <= key < to`, in key order.
    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Rows, TableError>;
}

/// The table. Calls that change it must come one after another.
pub struct Layered {
    engine: Arc<dyn Kv>,
    newer_max: usize,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    /// Rows below this key have moved; everything has when there is none.
    moved_to: Option<Vec<u8>>,
    base: Option<Arc<dyn Base>>,
    /// Rows that are newer than the base; `None` hides one of the base.
    newer: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    newer_bytes: usize,
}

impl Layered {
    /// A table with the rows of `base`, which will all move into the engine's table. That must be
    /// empty, and nobody else may use it. Newer rows in memory beyond `newer_max` bytes are moved
    /// before a write returns: a group that replays a long log slows down to the engine's pace.
    pub fn over(engine: Arc<dyn Kv>, base: Option<Arc<dyn Base>>, newer_max: usize) -> Self {
        let moved_to = Some(Vec::new());
        let state = RwLock::new(State { moved_to, base, ..State::default() });
        Self { engine, newer_max, state }
    }

    /// Moves the next rows; true when there are none left.
    pub fn step(&self) -> Result<bool, TableError> {
        let mut state = self.write_lock();
        self.step_in(&mut state)
    }

    /// True when everything lies in the engine's table.
    pub fn moved(&self) -> bool {
        self.read_lock().moved_to.is_none()
    }

    fn step_in(&self, state: &mut State) -> Result<bool, TableError> {
        let Some(from) = state.moved_to.clone() else { return Ok(true) };
        let rows = state.unmoved(&from, END, STEP)?;
        let next = match rows.last() {
            Some((last, _)) if rows.len() == STEP => [last.as_slice(), &[0]].concat(),
            Some(_) | None => END.to_vec(),
        };
        let changes: Changes = rows.into_iter().map(|(key, value)| (key, Some(value))).collect();
        self.engine.write(&changes)?;
        state.forget_below(&next);
        if next == END {
            *state = State::default();
            return Ok(true);
        }
        state.moved_to = Some(next);
        Ok(false)
    }

    fn read_lock(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_lock(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kv for Layered {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        let state = self.read_lock();
        if state.moved_to.as_ref().is_none_or(|moved_to| key < moved_to.as_slice()) {
            return self.engine.get(key);
        }
        match (state.newer.get(key), &state.base) {
            (Some(newer), _) => Ok(newer.clone()),
            (None, Some(base)) => base.get(key),
            (None, None) => Ok(None),
        }
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Rows, TableError> {
        if from >= to || limit == 0 {
            return Ok(Vec::new());
        }
        let state = self.read_lock();
        let Some(moved_to) = &state.moved_to else { return self.engine.range(from, to, limit) };
        let moved_to = moved_to.as_slice();
        let mut rows = if from < moved_to {
            self.engine.range(from, to.min(moved_to), limit)?
        } else {
            Vec::new()
        };
        if to > moved_to && rows.len() < limit {
            rows.extend(state.unmoved(from.max(moved_to), to, limit - rows.len())?);
        }
        Ok(rows)
    }

    fn write(&self, changes: &Changes) -> Result<(), TableError> {
        let mut state = self.write_lock();
        let Some(moved_to) = state.moved_to.clone() else { return self.engine.write(changes) };
        let part = |(key, change): (&Vec<u8>, &Option<Vec<u8>>)| (key.clone(), change.clone());
        let moved: Changes = changes.range(..moved_to.clone()).map(part).collect();
        if !moved.is_empty() {
            // First, because it may fail: then nothing has changed.
            self.engine.write(&moved)?;
        }
        for (key, change) in changes.range(moved_to..) {
            state.put(key, change);
        }
        while state.newer_bytes > self.newer_max && !self.step_in(&mut state)? {}
        Ok(())
    }
}

impl State {
    /// Up to `limit` rows that have not moved; `from` is not below what has.
    fn unmoved(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Rows, TableError> {
        let mut newer = self.newer.range(from.to_vec()..to.to_vec()).peekable();
        let mut rows = Vec::new();
        let mut at = from.to_vec();
        let chunk = limit.clamp(LEAST, STEP);
        loop {
            let found = match &self.base {
                Some(base) => base.range(&at, to, chunk)?,
                None => Vec::new(),
            };
            let ended = found.len() < chunk;
            for (key, value) in found {
                while rows.len() < limit
                    && let Some((newer, change)) = newer.next_if(|(newer, _)| **newer < key)
                {
                    rows.extend(change.clone().map(|value| (newer.clone(), value)));
                }
                if rows.len() >= limit {
                    return Ok(rows);
                }
                at = [key.as_slice(), &[0]].concat();
                match newer.next_if(|(newer, _)| **newer == key) {
                    Some((_, change)) => rows.extend(change.clone().map(|value| (key, value))),
                    None => rows.push((key, value)),
                }
            }
            if ended {
                let rest = newer.filter_map(|(key, change)| Some((key.clone(), change.clone()?)));
                rows.extend(rest.take(limit - rows.len()));
                return Ok(rows);
            }
        }
    }

    fn put(&mut self, key: &[u8], change: &Option<Vec<u8>>) {
        let old = if change.is_none() && self.base.is_none() {
            self.newer.remove(key)
        } else {
            self.newer_bytes += cost(key, change);
            self.newer.insert(key.to_vec(), change.clone())
        };
        if let Some(old) = old {
            self.newer_bytes = self.newer_bytes.saturating_sub(cost(key, &old));
        }
    }

    fn forget_below(&mut self, next: &[u8]) {
        let kept = self.newer.split_off(next);
        for (key, change) in std::mem::replace(&mut self.newer, kept) {
            self.newer_bytes = self.newer_bytes.saturating_sub(cost(&key, &change));
        }
    }
}

fn cost(key: &[u8], change: &Option<Vec<u8>>) -> usize {
    ROW_COST + key.len() + change.as_ref().map_or(0, Vec::len)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::table::memory::MemoryKv;

    impl Base for MemoryKv {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
            Kv::get(self, key)
        }

        fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Rows, TableError> {
            Kv::range(self, from, to, limit)
        }
    }

    /// An engine's table that fails when it is told to.
    #[derive(Default)]
    struct Fragile {
        table: MemoryKv,
        fails: AtomicBool,
    }

    impl Kv for Fragile {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
            Kv::get(&self.table, key)
        }

        fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Rows, TableError> {
            Kv::range(&self.table, from, to, limit)
        }

        fn write(&self, changes: &Changes) -> Result<(), TableError> {
            match self.fails.load(Ordering::Relaxed) {
                true => Err(TableError::Engine("told to".to_owned())),
                false => self.table.write(changes),
            }
        }
    }

    fn key(n: u16) -> Vec<u8> {
        n.to_be_bytes().to_vec()
    }

    #[derive(Debug, Clone)]
    enum Step {
        Write { changes: Vec<(u16, Option<u8>)>, fails: bool },
        Move { fails: bool },
        Range { from: u16, to: u16, limit: usize },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let fails = prop::bool::weighted(0.2);
        let changes = prop::collection::vec((0..2_000u16, any::<Option<u8>>()), 1..40);
        let write = (changes, fails).prop_map(|(changes, fails)| Step::Write { changes, fails });
        let moves = fails.prop_map(|fails| Step::Move { fails });
        let range = (0..2_100u16, 0..2_100u16, prop_oneof![1..20usize, Just(usize::MAX)])
            .prop_map(|(from, to, limit)| Step::Range { from, to, limit });
        prop::collection::vec(prop_oneof![3 => write, 1 => moves, 3 => range], 1..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// However writes, moves and failures mix, it reads like one plain table, and in the end
        /// the engine's table is that table.
        #[test]
        fn it_reads_like_one_table_however_far_it_has_moved(
            base in prop::collection::btree_map(0..2_000u16, any::<u8>(), 0..1_500),
            newer_max in prop_oneof![Just(0usize), Just(2_000), Just(usize::MAX)],
            steps in steps(),
        ) {
            let rows: Changes = base.iter().map(|(k, v)| (key(*k), Some(vec![*v]))).collect();
            let (plain, under) = (MemoryKv::default(), MemoryKv::default());
            plain.write(&rows).unwrap();
            under.write(&rows).unwrap();
            let engine = Arc::new(Fragile::default());
            let layered = Layered::over(engine.clone(), Some(Arc::new(under)), newer_max);
            let fail = |fails: bool| engine.fails.store(fails, Ordering::Relaxed);
            for step in steps {
                match step {
                    Step::Write { changes, fails } => {
                        let changes: Changes = changes.into_iter()
                            .map(|(k, v)| (key(k), v.map(|v| vec![v]))).collect();
                        fail(fails && newer_max == usize::MAX);
                        if layered.write(&changes).is_ok() {
                            plain.write(&changes).unwrap();
                        }
                    }
                    Step::Move { fails } => {
                        fail(fails);
                        prop_assert!(layered.step().is_ok() || fails);
                    }
                    Step::Range { from, to, limit } => {
                        let found = layered.range(&key(from), &key(to), limit).unwrap();
                        let expected = Kv::range(&plain, &key(from), &key(to), limit).unwrap();
                        prop_assert_eq!(found, expected);
                        let one = Kv::get(&layered, &key(from)).unwrap();
                        prop_assert_eq!(one, Kv::get(&plain, &key(from)).unwrap());
                    }
                }
                fail(false);
            }
            while !layered.step().unwrap() {}
            prop_assert!(layered.moved());
            let all = |table: &dyn Kv| table.range(&[], END, usize::MAX).unwrap();
            prop_assert_eq!(all(&*engine), all(&plain));
            prop_assert_eq!(all(&layered), all(&plain));
        }
    }

    #[test]
    fn rows_in_memory_over_their_limit_are_moved() {
        let engine = Arc::new(MemoryKv::default());
        let layered = Layered::over(engine, None, 100_000);
        for n in 0..2_000 {
            layered.write(&Changes::from([(key(n), Some(vec![7; 200]))])).unwrap();
            assert!(layered.read_lock().newer_bytes <= 100_000, "after {n} rows");
        }
        assert_eq!(layered.range(&[], END, usize::MAX).unwrap().len(), 2_000);
    }
}
