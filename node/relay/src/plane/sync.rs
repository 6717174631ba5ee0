//! How all threads come to know a leg's address, and how legs come and go.
//!
//! News is kept as a bit per receiver beside the leg's state and sent from the state as it is
//! then: a full ring delays news, and joins it, but never loses it.

use std::net::SocketAddr;

use crs_proto::leg::{CONSENT_LIFETIME, LegBinding};

use crate::bucket::Bucket;
use crate::event::LegAddress;
use crate::message::{AddLeg, Command, LegKey, PeerMessage, Report, Reported};
use crate::plane::Plane;
use crate::plane::legs::{Cold, Hot};
use crate::plane::links::PER_ROUND;
use crate::table::Key;

/// Bit of [`Cold::dirty`]: the control side has not been told the address.
const REPORT: u64 = 1 << 63;
/// Bit of [`Cold::dirty`]: the home thread has not been told this thread's claim.
const CLAIM: u64 = 1 << 62;
/// Pause before full rings are tried again, in microseconds.
const RETRY_MICROS: u64 = 20_000;

impl Plane {
    /// Takes commands of the control side. False: the thread is to end.
    pub(crate) fn commands(&mut self, now: u64) -> bool {
        for _ in 0..PER_ROUND {
            let Ok(command) = self.links.commands.pop() else { break };
            match command {
                Command::Add(leg) => self.add(*leg, now),
                Command::Remove(key) => self.remove(key),
                Command::Stop => return false,
                #[cfg(test)]
                Command::Crash => panic!("asked to"),
            }
        }
        true
    }

    /// Takes messages of the other threads.
    pub(crate) fn peers(&mut self) {
        for thread in 0..self.links.from.len() {
            for _ in 0..PER_ROUND {
                let Some(message) = self.links.take(thread) else { break };
                match message {
                    PeerMessage::Claim { key, from, address, stamp } => {
                        if self.is_current(key) {
                            self.decide(key.slot, from, address, stamp);
                        }
                    }
                    PeerMessage::Bound { key, owner, address, stamp, seen } => {
                        if self.is_current(key) {
                            if owner != self.me && seen >= self.cold[key.slot as usize].claim_number
                            {
                                // An older word must not give an address away that was proved since.
                                self.forget_claim(key.slot, address.map(LegAddress::remote));
                            }
                            self.apply(key.slot, owner, address, stamp);
                        }
                    }
                }
            }
        }
    }

    /// True when a ring holds something for this thread.
    pub(crate) fn has_messages(&self) -> bool {
        !self.links.commands.is_empty()
            || self.links.from.iter().flatten().any(|ring| !ring.is_empty())
    }

    /// Takes a leg over; also used for the legs that live on over a restart.
    pub(crate) fn add(&mut self, leg: AddLeg, now: u64) {
        let AddLeg { key, kind, peer, channel, credentials, address } = leg;
        if key.slot as usize >= self.hot.len() {
            return;
        }
        self.names.insert(Key::name(credentials.ufrag()), key.slot);
        self.cells.clear_leg(key.slot);
        let bucket = Bucket::full(&self.rate, now);
        let generation = key.generation;
        self.hot[key.slot as usize] =
            Hot { kind: Some(kind), channel, generation, peer, address: None, bucket };
        let binding = Some(Box::new(LegBinding::new(key.slot, credentials)));
        self.cold[key.slot as usize] = Cold { binding, ..Cold::default() };
        if let Some((owner, address)) = address {
            if owner == self.me {
                self.cold[key.slot as usize].claim = Some(address);
                let patience = CONSENT_LIFETIME.as_micros() as u64;
                self.wheel.set(key.slot, now + patience);
            }
            self.apply(key.slot, owner, Some(address), 0);
        }
    }

    fn remove(&mut self, key: LegKey) {
        if !self.is_current(key) {
            return;
        }
        let slot = key.slot;
        let cold = std::mem::take(&mut self.cold[slot as usize]);
        let hot = std::mem::replace(&mut self.hot[slot as usize], Hot::FREE);
        for address in hot.address.into_iter().chain(cold.claim) {
            self.addresses.remove(&Key::address(address.remote()), slot);
        }
        if let Some(binding) = cold.binding {
            self.names.remove(&Key::name(binding.credentials().ufrag()), slot);
        }
        self.wheel.clear(slot);
    }

    /// This thread has proved `address` for the leg (or lost the one it had proved).
    pub(super) fn claim(&mut self, slot: u32, address: Option<LegAddress>) {
        let cold = &mut self.cold[slot as usize];
        let before = std::mem::replace(&mut cold.claim, address);
        if address.is_none() {
            self.wheel.clear(slot);
        }
        let confirmed = self.hot[slot as usize].address;
        if before != confirmed
            && let Some(before) = before
        {
            self.addresses.remove(&Key::address(before.remote()), slot);
        }
        if let Some(address) = address {
            self.addresses.insert(Key::address(address.remote()), slot);
        }
        let cold = &mut self.cold[slot as usize];
        self.claims += 1;
        cold.claim_stamp = self.claims;
        if slot % u32::from(self.threads) == u32::from(self.me) {
            cold.claim_number = 0;
            self.decide(slot, self.me, address, self.claims);
        } else {
            cold.claim_number = u64::MAX;
            cold.dirty |= CLAIM;
            self.tell(slot);
        }
    }

    /// The home thread's decision about a claim: the newest proof wins, and only the thread that
    /// proved the present address can take it back.
    fn decide(&mut self, slot: u32, from: u8, address: Option<LegAddress>, stamp: u64) {
        let cold = &mut self.cold[slot as usize];
        if address.is_none() && cold.owner != from {
            return;
        }
        if from != self.me {
            self.forget_claim(slot, address.map(LegAddress::remote));
        }
        self.apply(slot, from, address, stamp);
        let others = (0..self.threads).filter(|thread| *thread != self.me);
        let news = others.fold(REPORT, |bits, thread| bits | 1 << thread);
        self.cold[slot as usize].dirty |= news;
        self.tell(slot);
    }

    /// The leg's address is this one now.
    fn apply(&mut self, slot: u32, owner: u8, address: Option<LegAddress>, stamp: u64) {
        let hot = &mut self.hot[slot as usize];
        let before = std::mem::replace(&mut hot.address, address);
        let cold = &mut self.cold[slot as usize];
        (cold.owner, cold.stamp) = (owner, stamp);
        let claimed = cold.claim.map(LegAddress::remote);
        let remote = address.map(LegAddress::remote);
        let kept = |old: SocketAddr| Some(old) == remote || Some(old) == claimed;
        if let Some(old) = before.map(LegAddress::remote).filter(|old| !kept(*old)) {
            self.addresses.remove(&Key::address(old), slot);
        }
        let Some(remote) = remote else { return };
        let key = Key::address(remote);
        let other = self.addresses.get(&key).filter(|other| *other != slot);
        if other.is_none_or(|other| !self.has_later(other, remote, owner, stamp)) {
            self.addresses.insert(key, slot);
        }
    }

    /// True when leg `other` got `remote` by a later claim of the same thread: news of legs comes
    /// from their home threads, and so may come in another order than the claims were made.
    fn has_later(&self, other: u32, remote: SocketAddr, owner: u8, stamp: u64) -> bool {
        let (hot, cold) = (&self.hot[other as usize], &self.cold[other as usize]);
        let is_there =
            |address: Option<LegAddress>| address.map(LegAddress::remote) == Some(remote);
        let bound = is_there(hot.address) && cold.owner == owner && cold.stamp > stamp;
        let claim = is_there(cold.claim) && owner == self.me && cold.claim_stamp > stamp;
        bound || claim
    }

    /// Another thread has the leg now: stop checking the address that was proved here.
    fn forget_claim(&mut self, slot: u32, kept: Option<SocketAddr>) {
        let cold = &mut self.cold[slot as usize];
        let Some(claim) = cold.claim.take() else { return };
        cold.dirty &= !CLAIM;
        if let Some(binding) = &mut cold.binding {
            **binding = LegBinding::new(slot, binding.credentials().clone());
        }
        self.wheel.clear(slot);
        if Some(claim.remote()) != kept {
            self.addresses.remove(&Key::address(claim.remote()), slot);
        }
    }

    /// Sends a leg's news to whoever has not got it; what a full ring refuses stays marked.
    fn tell(&mut self, slot: u32) {
        let (hot, cold) = (&self.hot[slot as usize], &mut self.cold[slot as usize]);
        let key = LegKey { slot, generation: hot.generation };
        let mut left = 0;
        let mut bits = cold.dirty;
        while bits != 0 {
            let bit = bits & bits.wrapping_neg();
            bits &= !bit;
            let taken = match bit {
                REPORT => {
                    let what = match hot.address {
                        Some(address) => Reported::Bound { owner: cold.owner, address },
                        None => Reported::Unbound,
                    };
                    self.links.report(Report { key, what })
                }
                CLAIM => {
                    let home = slot % u32::from(self.threads);
                    let address = cold.claim;
                    let message =
                        PeerMessage::Claim { key, from: self.me, address, stamp: cold.claim_stamp };
                    let number = self.links.send(home as usize, message);
                    cold.claim_number = number.unwrap_or(u64::MAX);
                    number.is_some()
                }
                thread => {
                    let (owner, address) = (cold.owner, hot.address);
                    let to = thread.trailing_zeros() as usize;
                    let seen = self.links.taken(to);
                    let message =
                        PeerMessage::Bound { key, owner, address, stamp: cold.stamp, seen };
                    self.links.send(to, message).is_some()
                }
            };
            if !taken {
                left |= bit;
                self.cells.ring_full.add(1);
            }
        }
        cold.dirty = left;
        self.lagging |= left != 0;
    }

    /// Sends what full rings refused, not more often than [`RETRY_MICROS`].
    pub(super) fn retry(&mut self, now: u64) {
        if !self.lagging || now < self.retry_at {
            return;
        }
        self.retry_at = now + RETRY_MICROS;
        self.lagging = false;
        for slot in 0..self.cold.len() {
            if self.cold[slot].dirty != 0 {
                self.tell(slot as u32);
            }
        }
    }

    pub(super) fn report(&mut self, slot: u32, what: Reported) {
        let Some(leg) = self.hot.get(slot as usize) else { return };
        let key = LegKey { slot, generation: leg.generation };
        if !self.links.report(Report { key, what }) {
            self.cells.ring_full.add(1);
        }
    }
}
