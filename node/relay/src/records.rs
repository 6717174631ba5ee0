//! The control side's books: which resources and legs exist, their lifetimes. Pure: time is an
//! argument.

use std::collections::{BTreeMap, VecDeque};

use crs_proto::leg::LegCredentials;
use crs_types::{AllocationId, LegId, Mono};

use crate::event::{LegAddress, RelayEvent};
use crate::kind::{RelayType, TwoLegKind};
use crate::message::{LegKey, Report, Reported};
use crate::relay::LEG_LIFETIME;

/// One leg.
#[derive(Debug, Clone)]
pub(crate) struct LegRecord {
    pub(crate) id: LegId,
    pub(crate) key: LegKey,
    pub(crate) channel: u16,
    pub(crate) credentials: LegCredentials,
    /// Thread that proved the address, and the address.
    pub(crate) address: Option<(u8, LegAddress)>,
    /// When it ends unless it is bound or refreshed before.
    pub(crate) expires: Mono,
    pub(crate) freed: bool,
}

/// One resource.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) id: AllocationId,
    pub(crate) kind: TwoLegKind,
    pub(crate) created: Mono,
    pub(crate) legs: [LegRecord; 2],
}

/// All resources, and the free places in the threads' tables.
#[derive(Debug)]
pub(crate) struct Records {
    all: BTreeMap<AllocationId, Record>,
    /// Which resource is in a pair of slots.
    pairs: Vec<Option<AllocationId>>,
    /// Free pairs, reused in the order they were freed.
    free: VecDeque<u32>,
    /// How many there are of each kind.
    counts: [u64; RelayType::ALL.len()],
    next: u64,
    generation: u32,
}

/// Ids of a leg's resource: two legs each, so that one id gives the other.
pub(crate) fn allocation_of(leg: LegId) -> AllocationId {
    AllocationId(leg.0 / 2)
}

impl Records {
    pub(crate) fn new(max_legs: usize, first: u64) -> Self {
        let pairs = max_legs / 2;
        Self {
            all: BTreeMap::new(),
            pairs: vec![None; pairs],
            free: (0..pairs as u32).collect(),
            counts: Default::default(),
            next: first,
            generation: 1,
        }
    }

    /// A new resource; `None` when all places are taken.
    pub(crate) fn open(
        &mut self,
        kind: TwoLegKind,
        credentials: [LegCredentials; 2],
        channels: [u16; 2],
        now: Mono,
    ) -> Option<&Record> {
        let pair = self.free.pop_front()?;
        let id = AllocationId(self.next);
        self.next += 1;
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let [first, second] = credentials;
        let leg = |side: u32, credentials| LegRecord {
            id: LegId(id.0 * 2 + u64::from(side)),
            key: LegKey { slot: pair * 2 + side, generation },
            channel: channels[side as usize],
            credentials,
            address: None,
            expires: now.plus(LEG_LIFETIME),
            freed: false,
        };
        let legs = [leg(0, first), leg(1, second)];
        if let Some(place) = self.pairs.get_mut(pair as usize) {
            *place = Some(id);
        }
        self.counts[RelayType::from(kind).index()] += 1;
        let record = Record { id, kind, created: now, legs };
        Some(self.all.entry(id).or_insert(record))
    }

    /// Closes a resource; its legs that the threads still know come back.
    pub(crate) fn close(&mut self, id: AllocationId) -> Option<Vec<LegKey>> {
        let record = self.all.remove(&id)?;
        self.counts[RelayType::from(record.kind).index()] -= 1;
        let pair = record.legs[0].key.slot / 2;
        if let Some(place) = self.pairs.get_mut(pair as usize) {
            *place = None;
            self.free.push_back(pair);
        }
        Some(record.legs.iter().filter(|leg| !leg.freed).map(|leg| leg.key).collect())
    }

    pub(crate) fn get(&self, id: AllocationId) -> Option<&Record> {
        self.all.get(&id)
    }

    pub(crate) fn leg_mut(&mut self, id: LegId) -> Option<&mut LegRecord> {
        let record = self.all.get_mut(&allocation_of(id))?;
        record.legs.iter_mut().find(|leg| leg.id == id && !leg.freed)
    }

    /// All resources in the order they were made.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.all.values()
    }

    pub(crate) fn count(&self, kind: TwoLegKind) -> u64 {
        self.counts[RelayType::from(kind).index()]
    }

    /// Takes a thread's report; reports about legs that are gone are dropped.
    pub(crate) fn report(&mut self, report: Report, now: Mono) -> Option<RelayEvent> {
        let id = (*self.pairs.get(report.key.slot as usize / 2)?)?;
        let record = self.all.get_mut(&id)?;
        let legs = record.legs.iter_mut();
        let leg = legs.into_iter().find(|leg| leg.key == report.key && !leg.freed)?;
        let (allocation, leg_id) = (id, leg.id);
        let event = match report.what {
            Reported::Bound { owner, address } => {
                leg.address = Some((owner, address));
                RelayEvent::Bound { allocation, leg: leg_id, address }
            }
            Reported::Unbound => {
                leg.address = None;
                leg.expires = now.plus(LEG_LIFETIME);
                RelayEvent::ConsentLost { allocation, leg: leg_id }
            }
            Reported::Taken(address) => {
                RelayEvent::AddressTaken { allocation, leg: leg_id, address }
            }
        };
        Some(event)
    }

    /// Unbound legs whose time is over at `now`; each is told once.
    pub(crate) fn expire(&mut self, now: Mono) -> Vec<(RelayEvent, LegKey)> {
        let mut out = Vec::new();
        for record in self.all.values_mut() {
            for leg in &mut record.legs {
                if leg.address.is_none() && !leg.freed && leg.expires <= now {
                    leg.freed = true;
                    let event = RelayEvent::Expired { allocation: record.id, leg: leg.id };
                    out.push((event, leg.key));
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests;
