//! The books by themselves: ids, places, counts, lifetimes, late reports.

use std::time::Duration;

use crs_types::rng::SeededRng;
use proptest::prelude::*;

use super::*;

fn open(records: &mut Records, now: Mono) -> Option<Record> {
    open_kind(records, TwoLegKind::Rtp, now)
}

fn open_kind(records: &mut Records, kind: TwoLegKind, now: Mono) -> Option<Record> {
    let mut rng = SeededRng::new(1);
    let credentials = [(); 2].map(|()| LegCredentials::generate(&mut rng));
    records.open(kind, credentials, [0; 2], now).cloned()
}

fn bound(key: LegKey) -> Report {
    let remote = "127.0.0.1:9".parse().unwrap();
    Report {
        key,
        what: Reported::Bound { owner: 0, address: LegAddress::Udp { local: 0, remote } },
    }
}

#[test]
fn legs_are_numbered_in_pairs() {
    let mut records = Records::new(4, 7);
    let record = open(&mut records, Mono::default()).unwrap();
    assert_eq!(record.id, AllocationId(7));
    assert_eq!(record.legs.each_ref().map(|leg| leg.id), [LegId(14), LegId(15)]);
    assert!(record.legs.iter().all(|leg| allocation_of(leg.id) == record.id));
    assert_eq!(record.legs[0].key.slot ^ 1, record.legs[1].key.slot);
}

#[test]
fn reports_of_a_leg_that_is_gone_are_dropped_though_its_place_is_taken_again() {
    let mut records = Records::new(2, 1);
    let old = open(&mut records, Mono::default()).unwrap();
    records.close(old.id);
    let new = open(&mut records, Mono::default()).unwrap();
    assert_eq!(old.legs[0].key.slot, new.legs[0].key.slot);
    assert_eq!(records.report(bound(old.legs[0].key), Mono::default()), None);
    assert!(records.report(bound(new.legs[0].key), Mono::default()).is_some());
}

#[test]
fn a_bound_leg_does_not_expire_and_a_lost_one_has_a_lifetime_again() {
    let mut records = Records::new(2, 1);
    let record = open(&mut records, Mono::default()).unwrap();
    let [a, b] = record.legs.each_ref().map(|leg| leg.key);
    records.report(bound(a), Mono::default());
    let later = Mono::default().plus(LEG_LIFETIME);
    let expired: Vec<LegKey> = records.expire(later).into_iter().map(|(_, key)| key).collect();
    assert_eq!(expired, [b]);
    assert_eq!(records.expire(later), [], "told once");
    records.report(Report { key: a, what: Reported::Unbound }, later);
    assert_eq!(records.expire(later.plus(LEG_LIFETIME - Duration::from_micros(1))), []);
    assert_eq!(records.expire(later.plus(LEG_LIFETIME)).len(), 1);
}

proptest! {
    /// Any order of opening and closing: places are never shared, ids never repeat, and all places
    /// come back.
    #[test]
    fn places_are_never_shared(steps in prop::collection::vec((any::<bool>(), 0usize..8), 0..100)) {
        let mut records = Records::new(16, 1);
        let mut live: Vec<Record> = Vec::new();
        let mut last = 0;
        for (make, at) in steps {
            if make {
                let kind = [TwoLegKind::Rtp, TwoLegKind::Opaque][at % 2];
                let made = open_kind(&mut records, kind, Mono::default());
                prop_assert_eq!(made.is_some(), live.len() < 8);
                if let Some(record) = made {
                    prop_assert!(record.id.0 > last);
                    last = record.id.0;
                    let slot = record.legs[0].key.slot;
                    prop_assert!(live.iter().all(|other| other.legs[0].key.slot != slot));
                    live.push(record);
                }
            } else if at < live.len() {
                let record = live.swap_remove(at);
                prop_assert_eq!(records.close(record.id).map(|keys| keys.len()), Some(2));
                prop_assert!(records.close(record.id).is_none());
            }
        }
        prop_assert_eq!(records.iter().count(), live.len());
        for kind in [TwoLegKind::Rtp, TwoLegKind::Opaque] {
            let counted = live.iter().filter(|record| record.kind == kind).count();
            prop_assert_eq!(records.count(kind), counted as u64);
        }
    }
}
