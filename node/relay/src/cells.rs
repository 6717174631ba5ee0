//! Counters that one thread writes and anybody reads: plain loads and stores, no locked
//! instruction.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::counters::{LegCounters, RelayCounters, TypeCounters};
use crate::kind::RelayType;

/// A number with a single writer.
#[derive(Debug, Default)]
pub(crate) struct Cell64(AtomicU64);

impl Cell64 {
    /// Adds; only the one writer may call this.
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Takes back what was counted too early; only the one writer may call this.
    pub(crate) fn sub(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).saturating_sub(n), Ordering::Relaxed);
    }

    /// Replaces; only the one writer may call this.
    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters of one relay type on one thread.
#[derive(Debug, Default)]
pub(crate) struct TypeCells {
    pub(crate) rx: Cell64,
    pub(crate) rx_bytes: Cell64,
    pub(crate) tx: Cell64,
    pub(crate) tx_bytes: Cell64,
}

/// Counters of one leg on one thread.
#[derive(Debug, Default)]
pub(crate) struct LegCells {
    pub(crate) rx: Cell64,
    pub(crate) rx_bytes: Cell64,
    pub(crate) forwarded: Cell64,
    pub(crate) forwarded_bytes: Cell64,
    pub(crate) last_media: Cell64,
}

/// Everything one thread counts. Shared with the control side, which only reads.
#[derive(Debug)]
pub(crate) struct ThreadCells {
    pub(crate) types: [TypeCells; 5],
    pub(crate) sent: Cell64,
    pub(crate) sent_bytes: Cell64,
    pub(crate) no_dest: Cell64,
    pub(crate) error: Cell64,
    pub(crate) received: Cell64,
    pub(crate) received_bytes: Cell64,
    pub(crate) too_short: Cell64,
    pub(crate) too_long: Cell64,
    pub(crate) unknown: Cell64,
    pub(crate) foreign: Cell64,
    pub(crate) rate: Cell64,
    pub(crate) stun_refused: Cell64,
    pub(crate) stun_accepted: Cell64,
    pub(crate) address_taken: Cell64,
    pub(crate) ring_full: Cell64,
    /// Kernel id of the thread.
    pub(crate) thread_id: Cell64,
    pub(crate) legs: Box<[LegCells]>,
}

impl ThreadCells {
    pub(crate) fn new(max_legs: usize) -> Arc<Self> {
        Arc::new(Self {
            types: Default::default(),
            sent: Cell64::default(),
            sent_bytes: Cell64::default(),
            no_dest: Cell64::default(),
            error: Cell64::default(),
            received: Cell64::default(),
            received_bytes: Cell64::default(),
            too_short: Cell64::default(),
            too_long: Cell64::default(),
            unknown: Cell64::default(),
            foreign: Cell64::default(),
            rate: Cell64::default(),
            stun_refused: Cell64::default(),
            stun_accepted: Cell64::default(),
            address_taken: Cell64::default(),
            ring_full: Cell64::default(),
            thread_id: Cell64::default(),
            legs: (0..max_legs).map(|_| LegCells::default()).collect(),
        })
    }

    pub(crate) fn of(&self, kind: RelayType) -> &TypeCells {
        &self.types[kind.index()]
    }

    /// Adds this thread's counters to a sum.
    pub(crate) fn add_to(&self, sum: &mut RelayCounters) {
        for (cells, row) in self.types.iter().zip(&mut sum.types) {
            let TypeCounters { rx, rx_bytes, tx, tx_bytes } = row;
            *rx += cells.rx.get();
            *rx_bytes += cells.rx_bytes.get();
            *tx += cells.tx.get();
            *tx_bytes += cells.tx_bytes.get();
        }
        sum.sent += self.sent.get();
        sum.sent_bytes += self.sent_bytes.get();
        sum.sent_no_dest += self.no_dest.get();
        sum.sent_error += self.error.get();
        sum.received += self.received.get();
        sum.received_bytes += self.received_bytes.get();
        sum.received_too_short += self.too_short.get();
        sum.received_too_long += self.too_long.get();
        sum.dropped_unknown += self.unknown.get();
        sum.dropped_foreign += self.foreign.get();
        sum.dropped_rate += self.rate.get();
        sum.stun_refused += self.stun_refused.get();
        sum.stun_accepted += self.stun_accepted.get();
        sum.address_taken += self.address_taken.get();
        sum.ring_full += self.ring_full.get();
    }

    /// Adds this thread's part of a leg's counters to a sum.
    pub(crate) fn add_leg_to(&self, slot: u32, sum: &mut LegCounters) {
        let Some(cells) = self.legs.get(slot as usize) else { return };
        sum.rx += cells.rx.get();
        sum.rx_bytes += cells.rx_bytes.get();
        sum.forwarded += cells.forwarded.get();
        sum.forwarded_bytes += cells.forwarded_bytes.get();
        sum.last_media_micros = sum.last_media_micros.max(cells.last_media.get());
    }

    /// Starts a leg's counters at zero; called by the thread when it takes the leg.
    pub(crate) fn clear_leg(&self, slot: u32) {
        let Some(cells) = self.legs.get(slot as usize) else { return };
        cells.rx.set(0);
        cells.rx_bytes.set(0);
        cells.forwarded.set(0);
        cells.forwarded_bytes.set(0);
        cells.last_media.set(0);
    }
}
