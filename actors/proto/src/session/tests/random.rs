//! Random histories: no panic, every request answered once, no call without both parties, and
//! every session ends.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::super::*;
use super::rig::*;
use crate::wire::call::{HangupReason, SessionState};

fn party() -> impl Strategy<Value = Endpoint> {
    (0u64..6, 0u64..3).prop_map(|(n, connection)| match n {
        0 | 1 => device("+46701", "caller", connection),
        2 => device("+46709", "stranger", connection),
        n => device("+46702", &format!("callee{n}"), 10 * n + connection),
    })
}

fn asked() -> impl Strategy<Value = CallRequest> {
    prop_oneof![
        Just(CallRequest::Invite(invite())),
        Just(CallRequest::Ringing),
        Just(answer("a")),
        Just(answer("b")),
        Just(hangup(HangupReason::Normal)),
        Just(hangup(HangupReason::Busy)),
        Just(hangup(HangupReason::Error)),
        Just(CallRequest::Alloc),
        (0u64..3).prop_map(|leg| CallRequest::Refresh(crs_types::LegId(leg))),
        (0u64..3).prop_map(|leg| CallRequest::Free(crs_types::LegId(leg))),
    ]
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        6 => (party(), asked())
            .prop_map(|(from, request)| Input::Request { from, tag: ReplyTag(0), request }),
        2 => (party(), any::<bool>())
            .prop_map(|(device, resumes)| Input::Attached { device, resumes }),
        2 => party().prop_map(|device| Input::Lost { device }),
        1 => Just(Input::RelayReady { caller: leg(1), callee: leg(2) }),
        1 => Just(Input::RelayFailed(RelayFailure::Limit)),
        1 => Just(Input::RelayLost),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(a, b)| {
            let path = |bound| if bound { LegPath::Bound } else { LegPath::NeverBound };
            let leg = |bound| LegReport { path: path(bound), last_packet: None };
            Input::Media(MediaReport { caller: leg(a), callee: leg(b) })
        }),
        2 => Just(Input::Tick),
    ]
}

fn start(devices: u64, push: bool) -> Callee {
    found((3..3 + devices).map(|n| device("+46702", &format!("callee{n}"), 10 * n)).collect(), push)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn any_history_is_sane(
        devices in 0u64..4, push in any::<bool>(),
        steps in proptest::collection::vec((input(), 0u64..40), 0..60),
        restore_at in 0usize..120,
    ) {
        let (mut rig, _) = Rig::start(start(devices, push));
        let mut open = BTreeSet::new();
        let mut relay = 0i32;
        for (at, (step, wait)) in steps.into_iter().enumerate() {
            rig.wait(Duration::from_secs(wait));
            if at == restore_at {
                rig.core = Session::restore(&rig.config, &rig.core.save(rig.now), rig.now).unwrap();
                open.clear();
                relay = 0;
            }
            let mut step = step;
            if let Input::Request { tag, .. } = &mut step {
                rig.tag += 1;
                open.insert(rig.tag);
                *tag = ReplyTag(rig.tag);
            }
            let ready = matches!(step, Input::RelayReady { .. });
            let lost = matches!(step, Input::RelayLost);
            let effects = rig.core.handle(&rig.config, step, rig.now);
            if ready { relay += 1; }
            for effect in &effects {
                match effect {
                    Effect::Reply { tag, .. } => prop_assert!(open.remove(&tag.0), "{tag:?} twice"),
                    Effect::FreeRelay => relay -= 1,
                    Effect::Changed(summary) if summary.state == SessionState::Talk => {
                        prop_assert!(summary.answered_by.is_some());
                    }
                    Effect::Notify { .. }
                    | Effect::AllocRelay(_)
                    | Effect::RefreshRelay
                    | Effect::QueryMedia
                    | Effect::Changed(_)
                    | Effect::Expired => {}
                }
            }
            if lost { relay = 0; }
            prop_assert!((0..=1).contains(&relay), "relay {relay}");
            if rig.core.summary().end.is_some() { prop_assert_eq!(relay, 0); }
        }
        // Left alone with both parties gone, it ends; with silent media, too.
        let gone = [device("+46701", "caller", 0), device("+46701", "caller", 1),
            device("+46701", "caller", 2)];
        for device in gone { rig.feed(Input::Lost { device }); }
        let mut rounds = 0;
        loop {
            let Some(deadline) = rig.core.next_deadline(&rig.config) else {
                // Only the first connection of all, which no step has touched, may still stand.
                rig.feed(Input::Lost { device: caller() });
                prop_assert!(rig.core.next_deadline(&rig.config).is_some());
                continue;
            };
            rig.wait(deadline.since(rig.now.mono));
            let effects = rig.core.handle(&rig.config, Input::Tick, rig.now);
            for effect in &effects {
                if let Effect::Reply { tag, .. } = effect { open.remove(&tag.0); }
            }
            if effects.contains(&Effect::Expired) { break; }
            rounds += 1;
            prop_assert!(rounds < 50, "does not end");
        }
        prop_assert!(open.is_empty(), "unanswered: {open:?}");
    }
}
