//! The data plane of one thread, without I/O: which packet goes where.
//!
//! The thread calls [`Plane::media`] for every datagram, [`Plane::stun`] for those it names as
//! STUN, [`Plane::tick`] when [`Plane::wait`] has passed, and [`Plane::commands`] and
//! [`Plane::peers`] in every round; it sends what they return. Forwarding media touches the address
//! table, two legs and counters: no lock, no allocation.
//!
//! Who decides: the thread a client's packets arrive at is the authority for that *address* (two
//! legs on one address are refused there, at the proof); a leg's *home* thread, by its slot, is the
//! authority for the *leg* (the last proved address wins) and tells all others.

#[cfg(fuzzing)]
mod fuzz;
mod legs;
mod links;
#[cfg(any(test, fuzzing))]
mod net;
mod sync;
mod verdict;

use std::net::SocketAddr;
use std::sync::Arc;

use crs_proto::leg::{Change, Ignored, Peek, StunPacket, Verdict as Stun, peek};
use crs_types::{ClientAddr, Mono, Rng};

#[cfg(fuzzing)]
pub use fuzz::fuzz_plane;
pub(crate) use links::{Links, REPORTS, mesh};
pub(crate) use verdict::{Forward, Verdict};

use crate::bucket::Rate;
use crate::cells::ThreadCells;
use crate::config::RelayConfig;
use crate::event::LegAddress;
use crate::message::{LegKey, Reported};
use crate::plane::legs::{Cold, Hot};
use crate::table::{Key, Table, impossible};
use crate::wheel::Wheel;

/// A packet to send that did not come in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transmit {
    pub(crate) to: SocketAddr,
    pub(crate) local: u8,
    pub(crate) packet: StunPacket,
}

/// State of one thread.
pub(crate) struct Plane {
    me: u8,
    threads: u8,
    rate: Rate,
    hot: Box<[Hot]>,
    cold: Box<[Cold]>,
    addresses: Table,
    names: Table,
    wheel: Wheel,
    cells: Arc<ThreadCells>,
    rng: Box<dyn Rng>,
    links: Links,
    /// Claims of this thread so far.
    claims: u64,
    /// Some leg has news that a full ring did not take.
    lagging: bool,
    retry_at: u64,
}

/// What a plane is made of.
pub(crate) struct PlaneParts {
    pub(crate) me: u8,
    pub(crate) cells: Arc<ThreadCells>,
    pub(crate) rng: Box<dyn Rng>,
    pub(crate) links: Links,
    pub(crate) seed: [u64; 2],
    pub(crate) now: u64,
}

impl Plane {
    pub(crate) fn new(config: &RelayConfig, parts: PlaneParts) -> Self {
        let legs = config.max_legs;
        Self {
            me: parts.me,
            threads: config.threads as u8,
            rate: Rate::from(config.rate),
            hot: vec![Hot::FREE; legs].into_boxed_slice(),
            cold: (0..legs).map(|_| Cold::default()).collect(),
            // An address that is claimed and one that is left may be there for one leg.
            addresses: Table::new(legs * 2, parts.seed),
            names: Table::new(legs, parts.seed),
            wheel: Wheel::new(legs, parts.now),
            cells: parts.cells,
            rng: parts.rng,
            links: parts.links,
            claims: 0,
            lagging: false,
            retry_at: 0,
        }
    }

    /// STUN from `from` on local address `local`: what to send, if anything. What does not
    /// authenticate is dropped without an answer.
    pub(crate) fn stun(
        &mut self,
        now: u64,
        local: u8,
        from: SocketAddr,
        bytes: &[u8],
    ) -> Option<Transmit> {
        let Some(slot) = self.stun_leg(from, bytes) else {
            self.cells.stun_refused.add(1);
            return None;
        };
        let taken = self.addresses.get(&Key::address(from)).is_some_and(|other| other != slot);
        let binding = self.cold.get_mut(slot as usize)?.binding.as_mut()?;
        let at = Mono::from_micros(now);
        let effects = binding.handle(bytes, ClientAddr::new(from), taken, at, &mut *self.rng);
        let deadline = binding.next_deadline();
        match effects.verdict {
            Stun::Answered | Stun::Checking | Stun::Proved | Stun::Consent | Stun::Timer => {
                self.cells.stun_accepted.add(1);
            }
            Stun::Ignored(why) => {
                self.cells.stun_refused.add(1);
                if why == Ignored::Taken {
                    self.cells.address_taken.add(1);
                    let address = LegAddress::Udp { local, remote: from };
                    self.report(slot, Reported::Taken(address));
                }
            }
        }
        match effects.change {
            Some(Change::Bound(_) | Change::Moved { .. }) => {
                self.claim(slot, Some(LegAddress::Udp { local, remote: from }));
            }
            Some(Change::Lost(_)) => self.claim(slot, None),
            None => {}
        }
        if let Some(deadline) = deadline {
            self.wheel.set(slot, deadline.as_micros());
        }
        let (to, packet) = effects.send?;
        self.count_sent(packet.as_bytes().len());
        Some(Transmit { to: to.socket(), local, packet })
    }

    /// Takes one due timer: `None` when there is none, `Some(None)` when it sends nothing.
    pub(crate) fn tick(&mut self, now: u64) -> Option<Option<Transmit>> {
        self.retry(now);
        let slot = self.wheel.pop(now)?;
        Some(self.on_timer(slot, now))
    }

    /// Microseconds until [`Plane::tick`] should be called; `None`: no timer is set.
    pub(crate) fn wait(&self, now: u64) -> Option<u64> {
        let retry = self.lagging.then(|| self.retry_at.saturating_sub(now));
        let timer = self.wheel.wait(now);
        retry.into_iter().chain(timer).min()
    }

    /// Threads and whether the control side should be woken, for what was put on their rings.
    pub(crate) fn take_wakes(&mut self) -> (u64, bool) {
        self.links.take_wakes()
    }

    /// The kernel did not send: `packets` of `bytes` in all, queued with `tag`.
    pub(crate) fn refused(&mut self, tag: u32, packets: u32, bytes: u64) {
        let packets = u64::from(packets);
        self.cells.error.add(packets);
        self.cells.sent.sub(packets);
        self.cells.sent_bytes.sub(bytes);
        let Some(kind) = self.hot.get(tag as usize).and_then(|leg| leg.kind) else { return };
        let cells = self.cells.of(kind.into());
        cells.tx.sub(packets);
        cells.tx_bytes.sub(bytes);
        if let Some(leg) = self.cells.legs.get(tag as usize) {
            leg.forwarded.sub(packets);
            leg.forwarded_bytes.sub(bytes);
        }
    }

    fn count_sent(&self, length: usize) {
        self.cells.sent.add(1);
        self.cells.sent_bytes.add(length as u64);
    }

    /// The leg a STUN packet names: by user name, or by the hint in the transaction id. Nothing is
    /// proved yet.
    fn stun_leg(&self, from: SocketAddr, bytes: &[u8]) -> Option<u32> {
        if impossible(from) {
            return None;
        }
        match peek(bytes)? {
            Peek::Request { ufrag } => self.names.get(&Key::name(&ufrag)),
            Peek::Response { hint } => {
                self.hot.get(hint as usize)?.kind?;
                Some(hint)
            }
        }
    }

    fn on_timer(&mut self, slot: u32, now: u64) -> Option<Transmit> {
        let cold = self.cold.get_mut(slot as usize)?;
        let claim = cold.claim?;
        let binding = cold.binding.as_mut()?;
        if binding.address().is_none() {
            // Taken over from before a restart and never proved since.
            self.claim(slot, None);
            return None;
        }
        let effects = binding.poll(Mono::from_micros(now), &mut *self.rng);
        if let Some(deadline) = binding.next_deadline() {
            self.wheel.set(slot, deadline.as_micros());
        }
        if let Some(Change::Lost(_)) = effects.change {
            self.claim(slot, None);
        }
        let (to, packet) = effects.send?;
        self.count_sent(packet.as_bytes().len());
        let LegAddress::Udp { local, remote: _ } = claim;
        Some(Transmit { to: to.socket(), local, packet })
    }

    /// True when `key` names the leg that is in its slot now.
    fn is_current(&self, key: LegKey) -> bool {
        let leg = self.hot.get(key.slot as usize);
        leg.is_some_and(|leg| leg.generation == key.generation && leg.kind.is_some())
    }
}

#[cfg(test)]
mod tests;
