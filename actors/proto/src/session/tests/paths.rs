//! The main paths, effect by effect.

use std::time::Duration;

use crs_types::LegId;
use crs_types::envelope::DecodeError;
use crs_types::limits::OFFER_MAX;

use super::super::core::Phase;
use super::super::record::RECORD_MAX;
use super::super::*;
use super::rig::*;
use crate::connection::Now;
use crate::wire::Bytes64;
use crate::wire::call::{HangupReason, SessionState, Stage};

#[test]
fn a_call_is_forked_rings_and_is_answered_once() {
    let (mut rig, effects) = Rig::start(found(vec![callee(1), callee(2)], false));
    assert_eq!(effects, ["reply invite", "= invite", "to 11 invite+offer", "to 12 invite+offer"]);
    let rings = rig.ask(&callee(1), CallRequest::Ringing);
    assert_eq!(rings, ["reply ringing+offer", "to 1 ringing", "= ringing"]);
    assert_eq!(rig.ask(&callee(2), CallRequest::Ringing), ["reply ringing+offer"]);
    assert_eq!(
        rig.ask(&callee(2), answer("two")),
        ["reply talk", "to 1 talk+answer", "to 11 hangup(answered-elsewhere, crs)", "= talk"]
    );
    assert_eq!(rig.ask(&callee(1), answer("one")), ["reply !gone"]);
    let summary = rig.core.summary();
    assert_eq!(summary.answered_by, Some(callee(2).device));
    assert_eq!(
        rig.ask(&caller(), hangup(HangupReason::Normal)),
        ["reply hangup(normal, caller)", "to 12 hangup(normal, caller)", "= hangup"]
    );
    let end = rig.core.summary().end.unwrap();
    assert_eq!(
        (end.stage, rig.core.summary().talk_since),
        (Stage::AfterAnswer, summary.talk_since)
    );
    assert_eq!(rig.sleep(), (30, vec!["expired".into()]));
}

#[test]
fn nobody_is_there_or_nobody_is_known() {
    let (rig, effects) = Rig::start(Callee::NotFound);
    assert_eq!(effects, ["reply responder-not-found", "= responder-not-found"]);
    assert_eq!(rig.core.state(), SessionState::ResponderNotFound);
    let (_, effects) = Rig::start(found(vec![], false));
    assert_eq!(effects, ["reply responder-not-connected", "= responder-not-connected"]);
    let (mut rig, effects) = Rig::start(found(vec![], true));
    assert_eq!(effects, ["reply invite", "= invite"]);
    let (secs, effects) = rig.sleep();
    assert_eq!(secs, 45);
    assert_eq!(effects, ["to 1 responder-not-connected", "= responder-not-connected"]);
}

#[test]
fn refused_calls_say_why() {
    for (why, expected) in [
        (Refused::Glare, "reply hangup(busy, crs) glare"),
        (Refused::UserSessions, "reply hangup(capacity, crs) user-sessions"),
        (Refused::NodeDrain, "reply hangup(shutdown, crs) node-drain"),
    ] {
        let account = callee(1).account;
        let (_, effects) = Rig::start(Callee::Refused { account, why });
        assert_eq!(effects, [expected, "= hangup"]);
    }
}

#[test]
fn a_call_that_is_not_answered_ends_by_itself() {
    let (secs, effects) = Rig::calling().sleep();
    assert_eq!(secs, 20);
    let end = |who: &str, word: &str| format!("to {who} hangup(no-answer, crs) {word}");
    let ends = |word| [end("1", word), end("11", word), end("12", word), "= hangup".into()];
    assert_eq!(effects, ends("invite-timeout"));
    let (secs, effects) = Rig::ringing().sleep();
    assert_eq!(secs, 90);
    assert_eq!(effects, ends("ring-timeout"));
}

#[test]
fn a_device_that_attaches_late_is_offered_the_call() {
    let (mut rig, _) = Rig::start(found(vec![], true));
    let late = callee(3);
    let attached = Input::Attached { device: late.clone(), resumes: false };
    assert_eq!(rig.feed(attached.clone()), ["to 13 invite+offer"]);
    assert_eq!(rig.ask(&late, answer("x")), ["reply talk", "to 1 talk+answer", "= talk"]);
    // Nobody else is offered an established call.
    let other = Input::Attached { device: callee(4), resumes: false };
    assert_eq!(rig.feed(other), Vec::<String>::new());
}

#[test]
fn one_device_declines_for_all_but_is_busy_for_itself() {
    let mut rig = Rig::ringing();
    assert_eq!(
        rig.ask(&callee(1), hangup(HangupReason::Normal)),
        [
            "reply hangup(declined, callee)",
            "to 1 hangup(declined, callee)",
            "to 12 hangup(declined, callee)",
            "= hangup"
        ]
    );
    let mut rig = Rig::ringing();
    let busy = hangup(HangupReason::Busy);
    assert_eq!(rig.ask(&callee(1), busy.clone()), ["reply hangup(busy, callee)"]);
    assert_eq!(rig.ask(&callee(1), busy), ["reply hangup(busy, callee)"]);
    assert_eq!(
        rig.ask(&callee(2), hangup(HangupReason::Incompatible)),
        ["reply hangup(incompatible, callee)", "to 1 hangup(busy, callee)", "= hangup"]
    );
}

#[test]
fn the_caller_cancels() {
    let mut rig = Rig::ringing();
    assert_eq!(
        rig.ask(&caller(), hangup(HangupReason::Normal)),
        [
            "reply hangup(cancelled, caller)",
            "to 11 hangup(cancelled, caller)",
            "to 12 hangup(cancelled, caller)",
            "= hangup"
        ]
    );
}

#[test]
fn a_lost_party_may_come_back() {
    for (lost, back, who) in [
        (caller(), device("+46701", "caller", 50), "12"),
        (callee(1), device("+46702", "callee1", 50), "1"),
    ] {
        let mut rig = Rig::talking();
        let media = rig.core.next_deadline(&rig.config);
        rig.feed(Input::Lost { device: lost.clone() });
        rig.wait(Duration::from_secs(29));
        rig.feed(Input::Attached { device: back.clone(), resumes: true });
        // Only the check for media is still awaited.
        assert_eq!(rig.core.next_deadline(&rig.config), media);
        assert_eq!(rig.core.view_for(&back).unwrap().state, SessionState::Talk);
        // The end of the old connection, heard late, changes nothing.
        rig.feed(Input::Lost { device: lost });
        assert_eq!(rig.core.next_deadline(&rig.config), media);
        // The same device without memory of the call is not in it.
        rig.feed(Input::Lost { device: back.clone() });
        let forgot = Endpoint { connection: crs_types::ConnectionId(51), ..back };
        rig.feed(Input::Attached { device: forgot, resumes: false });
        let (secs, effects) = rig.sleep();
        assert_eq!(secs, 30);
        let word = if who == "1" { "callee-lost" } else { "caller-lost" };
        let told = if who == "1" { "1" } else { "11" };
        assert_eq!(
            effects,
            [format!("to {told} hangup(client-lost, crs) {word}"), "= hangup".into()]
        );
    }
}

#[test]
fn a_lost_caller_ends_an_unanswered_call() {
    let mut rig = Rig::ringing();
    rig.feed(Input::Lost { device: caller() });
    let (secs, effects) = rig.sleep();
    assert_eq!(secs, 30);
    assert_eq!(effects[0], "to 11 hangup(client-lost, crs) caller-lost");
}

#[test]
fn requests_may_be_repeated() {
    let mut rig = Rig::ringing();
    assert_eq!(rig.ask(&callee(1), CallRequest::Ringing), ["reply ringing+offer"]);
    assert_eq!(rig.ask(&caller(), CallRequest::Invite(invite())), ["reply ringing"]);
    let mut other = invite();
    other.offer = Bytes64(b"other".to_vec());
    assert_eq!(rig.ask(&caller(), CallRequest::Invite(other)), ["reply !id-conflict"]);
    assert_eq!(rig.ask(&callee(1), answer("a"))[0], "reply talk");
    assert_eq!(rig.ask(&callee(1), answer("a")), ["reply talk"]);
    assert_eq!(rig.ask(&callee(1), answer("b")), ["reply !not-allowed"]);
    assert_eq!(rig.ask(&caller(), CallRequest::Invite(invite())), ["reply talk+answer"]);
    assert_eq!(
        rig.ask(&callee(1), hangup(HangupReason::Normal))[0],
        "reply hangup(normal, callee)"
    );
    let again = rig.ask(&caller(), hangup(HangupReason::Normal));
    assert_eq!(again, ["reply hangup(normal, callee)"]);
}

#[test]
fn only_parties_may_act() {
    let namesake = |of| Endpoint { account: crs_types::AccountId::parse("fire").unwrap(), ..of };
    for stranger in [
        device("+46703", "caller", 1),
        device("+46701", "other", 1),
        namesake(caller()),
        namesake(callee(1)),
        callee(7),
    ] {
        let requests =
            [CallRequest::Ringing, answer("x"), hangup(HangupReason::Normal), CallRequest::Alloc];
        for request in requests {
            assert_eq!(Rig::ringing().ask(&stranger, request), ["reply !gone"]);
        }
        assert!(Rig::ringing().core.view_for(&stranger).is_none());
    }
    let attached = Input::Attached { device: namesake(callee(3)), resumes: false };
    assert_eq!(Rig::ringing().feed(attached), [""; 0]);
    assert_eq!(Rig::ringing().ask(&caller(), answer("x")), ["reply !not-allowed"]);
    assert_eq!(Rig::ringing().ask(&caller(), CallRequest::Ringing), ["reply !not-allowed"]);
}

/// Without refreshes of the legs.
fn with_relay() -> Rig {
    let mut rig = Rig::talking();
    rig.config.refresh = Duration::from_secs(86_400);
    alloc(rig)
}

fn alloc(mut rig: Rig) -> Rig {
    assert_eq!(rig.ask(&caller(), CallRequest::Alloc), ["alloc"]);
    assert_eq!(rig.ask(&callee(1), CallRequest::Alloc), Vec::<String>::new());
    let ready = rig.feed(Input::RelayReady { caller: leg(100), callee: leg(101) });
    assert_eq!(ready, ["reply leg 100", "reply leg 101"]);
    rig
}

#[test]
fn each_party_gets_its_leg_and_the_end_frees_them() {
    let mut rig = with_relay();
    assert_eq!(rig.ask(&caller(), CallRequest::Alloc), ["reply leg 100"]);
    assert_eq!(rig.ask(&callee(2), CallRequest::Alloc), ["reply !gone"]);
    assert_eq!(rig.ask(&caller(), CallRequest::Refresh(LegId(100))), ["refresh", "reply leg 100"]);
    assert_eq!(rig.ask(&caller(), CallRequest::Refresh(LegId(101))), ["reply !gone"]);
    assert_eq!(rig.ask(&callee(1), CallRequest::Free(LegId(100))), ["reply !gone"]);
    let end = rig.ask(&callee(1), hangup(HangupReason::Normal));
    assert_eq!(end[1..], ["to 1 hangup(normal, callee)", "free", "= hangup"]);
    // Both parties may give it back before the end.
    let mut rig = with_relay();
    assert_eq!(rig.ask(&caller(), CallRequest::Free(LegId(100))), ["reply done"]);
    assert_eq!(rig.ask(&callee(1), CallRequest::Free(LegId(101))), ["reply done", "free"]);
    assert_eq!(rig.ask(&caller(), CallRequest::Alloc), ["alloc"]);
}

#[test]
fn a_relay_that_comes_too_late_is_freed_and_one_that_fails_is_told() {
    let mut rig = Rig::ringing();
    rig.ask(&caller(), CallRequest::Alloc);
    let end = rig.ask(&caller(), hangup(HangupReason::Normal));
    assert!(end.contains(&"reply !gone".to_owned()), "{end:?}");
    let late = rig.feed(Input::RelayReady { caller: leg(1), callee: leg(2) });
    assert_eq!(late, ["free"]);
    let mut rig = Rig::ringing();
    rig.ask(&caller(), CallRequest::Alloc);
    let failed = rig.feed(Input::RelayFailed(RelayFailure::Limit));
    assert_eq!(failed, ["reply !relay-limit"]);
    assert_eq!(rig.ask(&caller(), CallRequest::Alloc), ["alloc"]);
    let failed = rig.feed(Input::RelayFailed(RelayFailure::Unavailable));
    assert_eq!(failed, ["reply !unavailable"]);
}

fn report(rig: &Rig, caller: Option<u64>, callee: Option<u64>) -> Input {
    let seen = |ago: Option<u64>| LegReport {
        path: if ago.is_some() { LegPath::Bound } else { LegPath::NeverBound },
        last_packet: ago
            .map(|secs| crs_types::Mono::from_micros(rig.now.mono.as_micros() - secs * 1_000_000)),
    };
    Input::Media(MediaReport { caller: seen(caller), callee: seen(callee) })
}

#[test]
fn silence_ends_a_call_and_one_talker_keeps_it() {
    let mut rig = with_relay();
    assert_eq!(rig.sleep(), (60, vec!["query".into()]));
    let one = report(&rig, Some(5), Some(60));
    assert_eq!(rig.feed(one), Vec::<String>::new());
    assert_eq!(rig.sleep(), (55, vec!["query".into()]));
    // No answer: the relay is asked again.
    assert_eq!(rig.sleep(), (10, vec!["query".into()]));
    let none = report(&rig, Some(60), Some(61));
    let end = rig.feed(none);
    assert_eq!(end[0], "to 1 hangup(media-timeout, crs) silence");
}

#[test]
fn a_path_that_never_came_up_is_named() {
    for (caller, callee, word) in
        [(None, None, "never-up"), (Some(1), None, "one-way"), (None, Some(1), "one-way")]
    {
        let mut rig = with_relay();
        rig.sleep();
        let report = report(&rig, caller, callee);
        let end = rig.feed(report);
        assert_eq!(end[0], format!("to 1 hangup(media-failed, crs) {word}"));
    }
}

/// A party whose network is gone: nothing is cut, and the other side still sends.
#[test]
fn a_leg_that_is_lost_and_not_bound_again_ends_the_call() {
    let lost = |rig: &Rig, seconds: u64| {
        let at =
            |ago: u64| crs_types::Mono::from_micros(rig.now.mono.as_micros() - ago * 1_000_000);
        let caller = LegReport { path: LegPath::LostSince(at(seconds)), last_packet: Some(at(60)) };
        let callee = LegReport { path: LegPath::Bound, last_packet: Some(at(0)) };
        Input::Media(MediaReport { caller, callee })
    };
    let mut rig = with_relay();
    rig.wait(Duration::from_secs(100));
    let report = lost(&rig, 29);
    assert_eq!(rig.feed(report), Vec::<String>::new(), "it may still come back");
    let report = lost(&rig, 30);
    assert_eq!(rig.feed(report)[0], "to 1 hangup(media-failed, crs) one-way");
}

/// Two clients that answer and then never ask for a relay hold no session for ever.
#[test]
fn a_call_without_a_relay_ends_like_one_whose_path_never_came_up() {
    let mut rig = Rig::talking();
    let (after, end) = rig.sleep();
    assert_eq!((after, end[0].as_str()), (60, "to 1 hangup(media-failed, crs) never-up"));
}

#[test]
fn silence_while_it_rings_does_not_count() {
    let mut rig = Rig::ringing();
    rig.config.refresh = Duration::from_secs(86_400);
    rig.ask(&caller(), CallRequest::Alloc);
    rig.feed(Input::RelayReady { caller: leg(100), callee: leg(101) });
    rig.wait(Duration::from_secs(80));
    assert_eq!(rig.ask(&callee(1), answer("a"))[0], "reply talk");
    rig.wait(Duration::from_secs(5));
    let unbound = report(&rig, Some(1), None);
    assert_eq!(rig.feed(unbound), Vec::<String>::new());
    assert_eq!(rig.sleep(), (55, vec!["query".into()]));
}

/// Every 20 s from when they were made, in a call and while it rings, whatever happens in between.
#[test]
fn legs_are_refreshed_however_busy_the_session_is() {
    let both = || vec!["refresh".to_owned(), "query".to_owned()];
    let mut rig = alloc(Rig::talking());
    for _ in 0..3 {
        for _ in 0..3 {
            rig.wait(Duration::from_secs(5));
            rig.ask(&caller(), CallRequest::Refresh(LegId(100)));
            assert_eq!(rig.feed(Input::Tick), Vec::<String>::new());
        }
        // The third time silence is due, too: one question answers both.
        assert_eq!(rig.sleep(), (5, both()));
    }
    assert_eq!(rig.sleep(), (10, vec!["query".into()]));
    assert_eq!(rig.sleep(), (10, both()));
    let mut rig = Rig::ringing();
    rig.ask(&caller(), CallRequest::Alloc);
    rig.feed(Input::RelayReady { caller: leg(100), callee: leg(101) });
    for _ in 0..4 {
        assert_eq!(rig.sleep(), (20, both()));
    }
    assert_eq!(rig.sleep().1[0], "to 1 hangup(no-answer, crs) ring-timeout");
}

#[test]
fn forks_and_waiting_requests_are_limited() {
    let devices = |n| (1..=n).map(callee).collect();
    let (mut rig, effects) = Rig::start(found(devices(BRANCHES_MAX as u64 + 3), false));
    assert_eq!(effects.iter().filter(|line| line.contains("offer")).count(), BRANCHES_MAX);
    assert_eq!(rig.ask(&callee(BRANCHES_MAX as u64 + 1), answer("a")), ["reply !gone"]);
    rig.ask(&caller(), CallRequest::Alloc);
    for _ in 1..32 {
        assert_eq!(rig.ask(&caller(), CallRequest::Alloc), Vec::<String>::new());
    }
    assert_eq!(rig.ask(&caller(), CallRequest::Alloc), ["reply !capacity"]);
}

#[test]
fn a_relay_that_is_gone_can_be_asked_for_again() {
    let mut rig = with_relay();
    assert_eq!(rig.feed(Input::RelayLost), Vec::<String>::new());
    assert_eq!(rig.ask(&caller(), CallRequest::Alloc), ["alloc"]);
}

#[test]
fn a_record_resumes_where_it_was() {
    let later = |rig: &Rig| Now {
        mono: crs_types::Mono::from_micros(7),
        wall: rig.now.wall.plus(Duration::from_secs(10)),
    };
    let mut rig = Rig::ringing();
    let now = later(&rig);
    rig.core = Session::restore(&rig.config, &rig.core.save(rig.now), now).unwrap();
    rig.now = now;
    assert_eq!(rig.core.state(), SessionState::Ringing);
    // Parties are lost until they come back.
    rig.feed(Input::Attached { device: caller(), resumes: true });
    let left = rig.core.next_deadline(&rig.config).unwrap().since(rig.now.mono);
    assert_eq!(left, Duration::from_secs(80));
    assert_eq!(rig.ask(&callee(2), answer("a"))[0], "reply talk");
    let now = later(&rig);
    rig.core = Session::restore(&rig.config, &rig.core.save(rig.now), now).unwrap();
    rig.now = now;
    assert_eq!(rig.core.view_for(&caller()).unwrap().answer, Some(Bytes64(b"a".to_vec())));
    assert_eq!(rig.sleep().0, 30);
    let now = later(&rig);
    let saved = rig.core.save(rig.now);
    rig.core = Session::restore(&rig.config, &saved, now).unwrap();
    rig.now = now;
    assert_eq!(rig.sleep(), (20, vec!["expired".into()]));
    let mut newer = saved;
    newer[0] = 9;
    let error = Session::restore(&rig.config, &newer, now).unwrap_err();
    assert!(error.to_string().contains("version 9"), "{error}");
}

/// As after an answer: whether nobody asks for legs, or nobody binds them.
#[test]
fn a_restored_call_without_media_ends_as_a_fresh_one_does() {
    for asks in [false, true] {
        let mut rig = Rig::talking();
        rig.core = Session::restore(&rig.config, &rig.core.save(rig.now), rig.now).unwrap();
        rig.feed(Input::Attached { device: caller(), resumes: true });
        rig.feed(Input::Attached { device: callee(1), resumes: true });
        let mut fresh = Rig::talking();
        for rig in [&mut rig, &mut fresh] {
            if asks {
                assert_eq!(rig.ask(&caller(), CallRequest::Alloc), ["alloc"]);
                rig.feed(Input::RelayReady { caller: leg(10), callee: leg(11) });
            }
        }
        assert_eq!(to_the_end(&mut rig), to_the_end(&mut fresh), "legs asked for: {asks}");
    }
}

/// How long it takes, and how it is told to both. The relay, when it is asked, has seen nobody.
fn to_the_end(rig: &mut Rig) -> (u64, Vec<String>) {
    let leg = LegReport { path: LegPath::NeverBound, last_packet: None };
    let mut seconds = 0;
    while seconds < 600 {
        let (slept, mut effects) = rig.sleep();
        seconds += slept;
        if effects.contains(&"query".to_owned()) {
            effects = rig.feed(Input::Media(MediaReport { caller: leg, callee: leg }));
        }
        if !effects.is_empty() {
            assert_eq!(seconds, 60, "{effects:?}");
            assert!(effects[0].contains("hangup(media-failed, crs) never-up"), "{effects:?}");
            return (seconds, effects);
        }
    }
    panic!("the call goes on without media");
}

#[test]
fn a_damaged_record_is_an_error() {
    let rig = Rig::talking();
    let saved = rig.core.save(rig.now);
    for cut in 0..saved.len() {
        assert!(Session::restore(&rig.config, &saved[..cut], rig.now).is_err());
    }
}

#[test]
fn a_record_over_its_limit_is_refused_unread() {
    let rig = Rig::talking();
    let mut long = rig.core.save(rig.now);
    assert!(long.len() < RECORD_MAX);
    long.resize(RECORD_MAX + 1, 0);
    let error = Session::restore(&rig.config, &long, rig.now).unwrap_err();
    let limit = RECORD_MAX;
    assert_eq!(error, RestoreError::Decode(DecodeError::TooLong { limit, found: limit + 1 }));
}

/// The largest offer and answer, and as many devices as there may be, fit into a record.
#[test]
fn the_largest_session_fits_its_record() {
    let mut rig = Rig::talking();
    rig.core.offer = Bytes64(vec![1; OFFER_MAX]);
    if let Phase::Talk { answer, .. } = &mut rig.core.phase {
        *answer = Bytes64(vec![2; OFFER_MAX]);
    }
    let saved = rig.core.save(rig.now);
    assert!(saved.len() > 2 * OFFER_MAX);
    assert!(Session::restore(&rig.config, &saved, rig.now).is_ok());
}
