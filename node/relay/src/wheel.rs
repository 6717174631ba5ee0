//! A timer wheel with one timer per slot: setting, moving and clearing are O(1) and allocate
//! nothing.

/// Width of a tick in microseconds. Timers fire up to one tick late, never early.
pub(crate) const TICK_MICROS: u64 = 20_000;
/// Ticks of one turn; a timer further away waits on the wheel for more than one turn.
const TICKS: usize = 512;
const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Node {
    previous: u32,
    next: u32,
    /// Tick at which the timer fires; `u64::MAX` when it is not set.
    tick: u64,
}

/// Timers of slots `0..capacity`.
#[derive(Debug)]
pub(crate) struct Wheel {
    heads: Box<[u32; TICKS]>,
    nodes: Box<[Node]>,
    /// The next tick to look at.
    tick: u64,
    armed: usize,
}

impl Wheel {
    pub(crate) fn new(capacity: usize, now: u64) -> Self {
        let empty = Node { previous: NONE, next: NONE, tick: u64::MAX };
        Self {
            heads: Box::new([NONE; TICKS]),
            nodes: vec![empty; capacity].into_boxed_slice(),
            tick: now / TICK_MICROS,
            armed: 0,
        }
    }

    /// Sets (or moves) the timer of `slot` to `at` microseconds.
    pub(crate) fn set(&mut self, slot: u32, at: u64) {
        self.clear(slot);
        let tick = at.div_ceil(TICK_MICROS).max(self.tick);
        let head = self.heads[tick as usize % TICKS];
        if let Some(next) = self.nodes.get_mut(head as usize) {
            next.previous = slot;
        }
        if let Some(node) = self.nodes.get_mut(slot as usize) {
            *node = Node { previous: NONE, next: head, tick };
            self.heads[tick as usize % TICKS] = slot;
            self.armed += 1;
        }
    }

    /// Clears the timer of `slot`, if it is set.
    pub(crate) fn clear(&mut self, slot: u32) {
        let Some(node) = self.nodes.get_mut(slot as usize).filter(|node| node.tick != u64::MAX)
        else {
            return;
        };
        let Node { previous, next, tick } = *node;
        node.tick = u64::MAX;
        self.armed -= 1;
        match self.nodes.get_mut(previous as usize) {
            Some(before) => before.next = next,
            None => self.heads[tick as usize % TICKS] = next,
        }
        if let Some(after) = self.nodes.get_mut(next as usize) {
            after.previous = previous;
        }
    }

    /// Takes one timer that is due at `now`; call until `None`. Amortised O(1): each tick is
    /// looked at once.
    pub(crate) fn pop(&mut self, now: u64) -> Option<u32> {
        let due = now / TICK_MICROS;
        if self.armed == 0 {
            self.tick = self.tick.max(due);
            return None;
        }
        // After a long pause one turn finds everything that is due.
        self.tick = self.tick.max(due.saturating_sub(TICKS as u64 - 1));
        while self.tick <= due {
            let mut slot = self.heads[self.tick as usize % TICKS];
            while let Some(node) = self.nodes.get(slot as usize) {
                if node.tick <= due {
                    self.clear(slot);
                    return Some(slot);
                }
                slot = node.next;
            }
            if self.tick == due {
                break;
            }
            self.tick += 1;
        }
        None
    }

    /// Time until [`Wheel::pop`] should be called again; `None` when no timer is set.
    pub(crate) fn wait(&self, now: u64) -> Option<u64> {
        if self.armed == 0 {
            return None;
        }
        let ahead = (0..TICKS as u64).find(|ahead| {
            let index = (self.tick + ahead) as usize % TICKS;
            self.heads[index] != NONE
        })?;
        Some(((self.tick + ahead) * TICK_MICROS).saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drain(wheel: &mut Wheel, now: u64) -> Vec<u32> {
        let mut out: Vec<u32> = std::iter::from_fn(|| wheel.pop(now)).collect();
        out.sort_unstable();
        out
    }

    #[test]
    fn fires_late_by_at_most_a_tick_and_once() {
        let mut wheel = Wheel::new(8, 0);
        wheel.set(3, 100_000);
        wheel.set(4, 100_001);
        assert_eq!(drain(&mut wheel, 99_999), [0u32; 0]);
        assert_eq!(wheel.wait(99_999), Some(1));
        assert_eq!(drain(&mut wheel, 100_000), [3]);
        assert_eq!(drain(&mut wheel, 120_000), [4]);
        assert_eq!(drain(&mut wheel, 10_000_000_000), [0u32; 0]);
        assert_eq!(wheel.wait(0), None);
    }

    proptest! {
        /// Against a list of times: each timer fires at the first look at or after its tick, timers
        /// beyond a turn included.
        #[test]
        fn behaves_as_a_list(ops in prop::collection::vec((0u32..6, 0u64..30_000_000, 0u64..3_000_000, any::<bool>()), 1..60)) {
            let mut wheel = Wheel::new(6, 0);
            let mut model = [None::<u64>; 6];
            let mut now = 0;
            for (slot, at, step, clear) in ops {
                if clear {
                    wheel.clear(slot);
                    model[slot as usize] = None;
                } else {
                    wheel.set(slot, now + at);
                    model[slot as usize] = Some((now + at).div_ceil(TICK_MICROS));
                }
                now += step;
                let due: Vec<u32> = (0..6u32)
                    .filter(|s| model[*s as usize].is_some_and(|tick| tick <= now / TICK_MICROS))
                    .collect();
                due.iter().for_each(|s| model[*s as usize] = None);
                prop_assert_eq!(drain(&mut wheel, now), due);
                if let Some(wait) = wheel.wait(now) {
                    let next = model.iter().flatten().min().copied().unwrap_or(0);
                    prop_assert!(now + wait <= next * TICK_MICROS);
                }
            }
        }
    }
}
