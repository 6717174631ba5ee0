//! Connections: states, rates, cuts, order of posts, clocks.

use std::time::Duration;

use crs_types::limits::REQUESTS_IN_FLIGHT_MAX;
use crs_types::{MessageId, Mono, Timestamp, Uri};

use super::*;
use crate::codec::{Op, Refusal, Request, RequestId};
use crate::keepalive::{KeepAliveConfig, Method};
use crate::rate::Rate;
use crate::wire::call::Invite;
use crate::wire::life::{Attach, DeniedReason, Role, TimeRequest};
use crate::wire::lookup::Lookup;
use crate::wire::message::{Fetch, Post};
use crate::wire::{Bytes64, ErrorBody, ErrorCode};

mod states;

struct Rig {
    core: Connection,
    config: ConnectionConfig,
    user: UserBuckets,
    now: Now,
    next: u64,
}

const UNTIL: Timestamp = Timestamp::from_millis(1_000_000);

impl Rig {
    fn new() -> Self {
        let now = Now { mono: Mono::from_micros(0), wall: Timestamp::from_millis(0) };
        let core = Connection::new(CertificateTerms::Full { until: UNTIL }, now);
        Self {
            core,
            config: ConnectionConfig::default(),
            user: UserBuckets::default(),
            now,
            next: 0,
        }
    }

    fn attached() -> Self {
        let mut rig = Self::new();
        rig.receive(attach());
        rig.done(Outcome::Attached(Role::Primary));
        rig
    }

    fn receive(&mut self, op: Op) -> Admission {
        self.next += 1;
        let request = Request { id: RequestId(self.next), op };
        self.core.receive(&self.config, &mut self.user, Ok(request), self.now)
    }

    fn refused(&mut self, op: Op) -> ErrorCode {
        match self.receive(op) {
            Admission::Refuse { error, .. } | Admission::RefuseAndClose { error, .. } => error.code,
            admitted @ (Admission::Run(_) | Admission::Held) => panic!("{admitted:?}"),
        }
    }

    fn done(&mut self, outcome: Outcome) -> Vec<Admission> {
        self.core.finished(&self.config, outcome, self.now)
    }

    fn wait(&mut self, millis: u64) {
        let duration = Duration::from_millis(millis);
        self.now = Now { mono: self.now.mono.plus(duration), wall: self.now.wall.plus(duration) };
    }
}

fn attach() -> Op {
    Op::Attach(Attach {
        role: Role::Primary,
        device: crs_types::DeviceId::parse("phone").unwrap(),
        client_info: None,
        resume: Vec::new(),
    })
}

fn time() -> Op {
    Op::Time(TimeRequest {})
}

fn to(text: &str) -> Uri {
    Uri::parse(text).unwrap()
}

fn mid(n: u8) -> MessageId {
    MessageId::from_parts(Timestamp::from_millis(1), [n; 10])
}

fn post(receiver: &str, n: u8) -> Op {
    Op::Post(Post { mid: mid(n), to: to(receiver), body: Bytes64::default(), expires_ms: None })
}

fn posted(receiver: &str, n: u8, error: Option<ErrorCode>) -> Outcome {
    Outcome::Posted { to: to(receiver), mid: mid(n), error }
}

fn runs(admission: &Admission) -> bool {
    matches!(admission, Admission::Run(_))
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Connection>() <= 256, "{}", size_of::<Connection>());
}

#[test]
fn only_a_few_ops_need_no_registration() {
    let mut rig = Rig::new();
    assert!(runs(&rig.receive(time())));
    assert_eq!(rig.refused(Op::Fetch(Fetch::default())), ErrorCode::NotAttached);
    assert!(runs(&rig.receive(attach())));
    assert_eq!(rig.core.registration(), Registration::Attaching);
    assert_eq!(rig.refused(attach()), ErrorCode::NotAllowed);
    assert_eq!(rig.refused(Op::Fetch(Fetch::default())), ErrorCode::NotAttached);
    rig.done(Outcome::Attached(Role::Secondary));
    assert_eq!(rig.core.registration(), Registration::Attached(Role::Secondary));
    assert!(runs(&rig.receive(Op::Fetch(Fetch::default()))));
    rig.core.unregistered();
    assert_eq!(rig.refused(Op::Fetch(Fetch::default())), ErrorCode::NotAttached);
}

#[test]
fn an_old_certificate_only_fetches_updates() {
    let mut rig = Rig::new();
    rig.core = Connection::new(CertificateTerms::UpdateOnly, rig.now);
    // The shell denies it: it knows whether there is an update for the user.
    assert!(runs(&rig.receive(attach())));
    rig.done(Outcome::NotAttached);
    let Admission::Refuse { error, .. } = rig.receive(Op::Fetch(Fetch::default())) else {
        panic!()
    };
    assert_eq!(error.reason, Some(DeniedReason::UpdateRequired));
    let get = Op::UpdateGet(crate::wire::keys::UpdateGet { period: "2026-11".parse().unwrap() });
    assert!(runs(&rig.receive(get)));
}

#[test]
fn a_certificate_that_runs_out_ends_the_registration_once() {
    let mut rig = Rig::attached();
    assert_eq!(rig.core.next_wake(&rig.config, rig.now), Duration::from_secs(1000));
    rig.wait(999_999);
    assert_eq!(rig.core.poll(&rig.config, rig.now), None);
    rig.wait(1);
    // Refused even before the shell has polled.
    assert_eq!(rig.refused(Op::Fetch(Fetch::default())), ErrorCode::Denied);
    assert_eq!(rig.core.poll(&rig.config, rig.now), Some(Due::Unregister));
    assert_eq!(rig.core.poll(&rig.config, rig.now), None);
    assert_eq!(rig.core.registration(), Registration::None);
}

#[test]
fn an_attach_that_ends_after_the_certificate_is_undone() {
    let mut rig = Rig::new();
    rig.receive(attach());
    rig.wait(1_000_000);
    assert_eq!(rig.core.poll(&rig.config, rig.now), None);
    rig.done(Outcome::Attached(Role::Primary));
    assert_eq!(rig.core.next_wake(&rig.config, rig.now), Duration::ZERO);
    assert_eq!(rig.core.poll(&rig.config, rig.now), Some(Due::Unregister));
    assert_eq!(rig.core.poll(&rig.config, rig.now), None);
}

#[test]
fn silence_is_pinged_and_cut() {
    let mut rig = Rig::new();
    rig.config.keep_alive = KeepAliveConfig {
        method: Method::Ws,
        interval: Duration::from_secs(100),
        grace: Duration::from_secs(10),
    };
    rig.wait(100_000);
    assert_eq!(rig.core.poll(&rig.config, rig.now), Some(Due::Ping));
    rig.wait(5_000);
    rig.core.heard(rig.now);
    rig.wait(100_000);
    assert_eq!(rig.core.poll(&rig.config, rig.now), Some(Due::Ping));
    assert_eq!(rig.core.next_wake(&rig.config, rig.now), Duration::from_secs(10));
    rig.wait(10_000);
    let cut = Some(Due::Close(Close::KeepaliveTimeout));
    assert_eq!(rig.core.poll(&rig.config, rig.now), cut);
}

#[test]
fn each_kind_of_request_has_its_own_rate() {
    let mut rig = Rig::attached();
    let mut run = 0;
    for n in 0..130 {
        match rig.receive(post(&format!("+46{}", 1000 + u32::from(n)), n)) {
            Admission::Run(_) => run += 1,
            Admission::Refuse { error, .. } if error.code == ErrorCode::RateLimited => {
                assert!(error.retry_ms.is_some_and(|ms| (1..=501).contains(&ms)));
            }
            other @ (Admission::Held
            | Admission::Refuse { .. }
            | Admission::RefuseAndClose { .. }) => panic!("{other:?}"),
        }
        rig.done(posted(&format!("+46{}", 1000 + u32::from(n)), n, None));
    }
    assert_eq!(run, 120);
    assert!(runs(&rig.receive(time())));
}

/// attach 10, invite 30, message 120, lookup 60 a minute; everything else 1000 at once.
#[test]
fn each_class_of_request_has_its_documented_default() {
    let invite = || {
        Op::Invite(Invite {
            session: crs_types::SessionId::from_parts(Timestamp::from_millis(1), [1; 10]),
            to: to("+46701"),
            offer: Bytes64::default(),
            media: crate::wire::relay::RelayKind::default(),
        })
    };
    let lookup = || Op::Lookup(Lookup { uri: to("+46701") });
    type Class = (fn() -> Op, Outcome, u32, u64);
    let classes: [Class; 5] = [
        (attach, Outcome::Attached(Role::Primary), 10, 6_000),
        (invite, Outcome::Done, 30, 2_000),
        (|| post("+46701", 1), posted("+46701", 1, None), 120, 500),
        (lookup, Outcome::Done, 60, 1_000),
        (time, Outcome::Done, 1_000, 10),
    ];
    for (op, outcome, burst, interval_ms) in classes {
        let mut rig = Rig::attached();
        // Attaching has taken one token; a minute brings it back.
        rig.wait(60_000);
        for n in 0..burst {
            assert!(runs(&rig.receive(op())), "{n} of {burst}");
            rig.done(outcome.clone());
        }
        assert_eq!(rig.refused(op()), ErrorCode::RateLimited);
        rig.wait(interval_ms);
        assert!(runs(&rig.receive(op())), "after {interval_ms} ms");
    }
}

#[test]
fn a_flood_is_refused_and_then_cut() {
    let mut rig = Rig::new();
    rig.config.rates.refusals = Rate { per_minute: 60, burst: 3 };
    let bad = || Err(Refusal { id: None, body: ErrorBody::new(ErrorCode::Malformed, "x") });
    for _ in 0..3 {
        let admission = rig.core.receive(&rig.config, &mut rig.user, bad(), rig.now);
        assert!(matches!(admission, Admission::Refuse { id: None, .. }));
    }
    let admission = rig.core.receive(&rig.config, &mut rig.user, bad(), rig.now);
    let Admission::RefuseAndClose { close, .. } = admission else { panic!("{admission:?}") };
    assert_eq!((close, close.code(), close.reason()), (Close::Flood, 1008, "flood"));
}

#[test]
fn requests_in_flight_are_limited() {
    let mut rig = Rig::new();
    for _ in 0..REQUESTS_IN_FLIGHT_MAX {
        assert!(runs(&rig.receive(time())));
    }
    assert_eq!(rig.refused(time()), ErrorCode::InFlight);
    rig.done(Outcome::Done);
    assert!(runs(&rig.receive(time())));
}

#[test]
fn posts_to_one_receiver_go_one_at_a_time() {
    let mut rig = Rig::attached();
    assert!(runs(&rig.receive(post("+46701", 1))));
    assert_eq!(rig.receive(post("+46701", 2)), Admission::Held);
    assert_eq!(rig.receive(post("+46701", 3)), Admission::Held);
    assert!(runs(&rig.receive(post("+46702", 4))));
    assert_eq!(rig.core.in_flight(), 4);
    let released = rig.done(posted("+46701", 1, None));
    let [Admission::Run(Request { op: Op::Post(next), .. })] = &released[..] else {
        panic!("{released:?}")
    };
    assert_eq!(next.mid, mid(2));
    assert_eq!(rig.done(posted("+46701", 2, None)).len(), 1);
    assert_eq!(rig.done(posted("+46701", 3, None)), Vec::new());
    rig.done(posted("+46702", 4, None));
    assert_eq!(rig.core.in_flight(), 0);
}

#[test]
fn after_a_failed_post_nothing_overtakes_it() {
    let mut rig = Rig::attached();
    rig.receive(post("+46701", 1));
    rig.receive(post("+46701", 2));
    let released = rig.done(posted("+46701", 1, Some(ErrorCode::Unavailable)));
    assert!(matches!(&released[..],
        [Admission::Refuse { id: Some(_), error }] if error.code == ErrorCode::OrderBroken));
    assert_eq!(rig.core.in_flight(), 0);
    assert_eq!(rig.refused(post("+46701", 3)), ErrorCode::OrderBroken);
    assert!(runs(&rig.receive(post("+46702", 9))));
    // Only the failed one mends it, and only when it succeeds.
    assert!(runs(&rig.receive(post("+46701", 1))));
    rig.done(posted("+46701", 1, Some(ErrorCode::Quota)));
    assert_eq!(rig.refused(post("+46701", 2)), ErrorCode::OrderBroken);
    assert!(runs(&rig.receive(post("+46701", 1))));
    rig.done(posted("+46701", 1, None));
    assert!(runs(&rig.receive(post("+46701", 2))));
}

#[test]
fn a_refused_post_does_not_break_those_that_came_before_it() {
    let mut rig = Rig::attached();
    rig.config.rates.message = Rate { per_minute: 60, burst: 2 };
    assert!(runs(&rig.receive(post("+46701", 1))));
    assert_eq!(rig.receive(post("+46701", 2)), Admission::Held);
    assert_eq!(rig.refused(post("+46701", 3)), ErrorCode::RateLimited);
    rig.wait(60_000);
    // 4 must not overtake 3, though it may go by the rate; 3 may, behind 2; then 4, behind 3.
    assert_eq!(rig.refused(post("+46701", 4)), ErrorCode::OrderBroken);
    assert_eq!(rig.receive(post("+46701", 3)), Admission::Held);
    rig.wait(60_000);
    assert_eq!(rig.receive(post("+46701", 4)), Admission::Held);
    for n in 1..4 {
        let released = rig.done(posted("+46701", n, None));
        let [Admission::Run(Request { op: Op::Post(next), .. })] = &released[..] else {
            panic!("{released:?}")
        };
        assert_eq!(next.mid, mid(n + 1));
    }
    // A repeated post that fails breaks what waits behind it.
    assert_eq!(rig.receive(post("+46701", 5)), Admission::Held);
    let released = rig.done(posted("+46701", 4, Some(ErrorCode::Unavailable)));
    assert!(matches!(&released[..],
        [Admission::Refuse { id: Some(_), error }] if error.code == ErrorCode::OrderBroken));
}

#[test]
fn a_post_that_can_never_succeed_does_not_block_the_next() {
    let mut rig = Rig::attached();
    rig.receive(post("+46701", 1));
    rig.done(posted("+46701", 1, Some(ErrorCode::NotFound)));
    assert!(runs(&rig.receive(post("+46701", 2))));
}

#[test]
fn the_earlier_of_two_failures_comes_first() {
    let mut rig = Rig::attached();
    rig.config.rates.message = Rate { per_minute: 1, burst: 1 };
    assert!(runs(&rig.receive(post("+46701", 1))));
    assert_eq!(rig.refused(post("+46701", 2)), ErrorCode::RateLimited);
    rig.done(posted("+46701", 1, Some(ErrorCode::Unavailable)));
    rig.wait(120_000);
    assert_eq!(rig.refused(post("+46701", 2)), ErrorCode::OrderBroken);
    rig.wait(120_000);
    assert!(runs(&rig.receive(post("+46701", 1))));
}

#[test]
fn too_many_broken_receivers_cut_the_connection() {
    let mut rig = Rig::attached();
    for n in 0..BROKEN_RECEIVERS_MAX {
        let receiver = format!("+46{}", 1000 + n);
        rig.receive(post(&receiver, 1));
        assert_eq!(rig.done(posted(&receiver, 1, Some(ErrorCode::DiskFull))), Vec::new());
    }
    rig.receive(post("+46701", 1));
    let released = rig.done(posted("+46701", 1, Some(ErrorCode::DiskFull)));
    assert!(matches!(
        released[..],
        [Admission::RefuseAndClose { close: Close::TooManyFailed, .. }]
    ));
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    let mut rig = Rig::new();
    rig.config.outbox = OutboxLimits { frames: 2, bytes: 100 };
    // One frame always fits.
    assert_eq!(rig.core.queue(&rig.config, 1000), Ok(()));
    assert_eq!(rig.core.queue(&rig.config, 1), Err(SlowReader));
    rig.core.sent(1000);
    assert_eq!(rig.core.queue(&rig.config, 10), Ok(()));
    assert_eq!(rig.core.queue(&rig.config, 10), Ok(()));
    assert_eq!(rig.core.queue(&rig.config, 10), Err(SlowReader));
}

#[test]
fn events_are_numbered_from_one() {
    let mut rig = Rig::new();
    assert_eq!((rig.core.next_event(), rig.core.next_event()), (1, 2));
}

/// A reconnect is a new core over the same buckets, and so is a second connection beside it.
#[test]
fn a_new_connection_of_a_user_brings_no_tokens() {
    let mut rig = Rig::new();
    for n in 0..10 {
        rig.core = Connection::new(CertificateTerms::Full { until: UNTIL }, rig.now);
        assert!(runs(&rig.receive(attach())), "{n}");
    }
    rig.core = Connection::new(CertificateTerms::Full { until: UNTIL }, rig.now);
    let Admission::Refuse { error, .. } = rig.receive(attach()) else { panic!() };
    assert_eq!((error.code, error.retry_ms), (ErrorCode::RateLimited, Some(6_001)));
    // The other classes are not touched, and another user is not either.
    assert!(runs(&rig.receive(time())));
    rig.user = UserBuckets::default();
    assert!(runs(&rig.receive(attach())));
}

/// Up to that moment forgetting would be a way around the rate, from then on it is none.
#[test]
fn buckets_may_be_forgotten_when_all_are_full() {
    let mut rig = Rig::attached();
    assert_eq!(UserBuckets::default().full_at(), Mono::default());
    rig.receive(time());
    assert_eq!(rig.user.full_at(), rig.now.mono.plus(Duration::from_secs(6)), "of the attach");
    (0..20).for_each(|n| drop(rig.receive(post(&format!("+46{}", 1000 + n), 1))));
    let full_at = rig.now.mono.plus(Duration::from_secs(10));
    assert_eq!(rig.user.full_at(), full_at, "of the posts");
    let mut kept = rig.user;
    let mut fresh = UserBuckets::default();
    for _ in 0..200 {
        let (rates, op) = (&rig.config.rates, post("+46701", 1));
        assert_eq!(kept.take(rates, &op, full_at), fresh.take(rates, &op, full_at));
    }
}

/// design.md §5: whoever may try again is told when, except behind a failed post.
#[test]
fn every_error_that_may_pass_says_when_to_try_again() {
    for code in [
        ErrorCode::RateLimited,
        ErrorCode::InFlight,
        ErrorCode::Quota,
        ErrorCode::Unavailable,
        ErrorCode::DiskFull,
        ErrorCode::RelayLimit,
        ErrorCode::Capacity,
        ErrorCode::Internal,
    ] {
        assert!(breaks_order(code) || code == ErrorCode::RelayLimit);
        assert!(ErrorBody::new(code, "").retry_ms.is_some_and(|ms| ms >= 100), "{code:?}");
    }
    assert_eq!(ErrorBody::new(ErrorCode::Quota, "").retry_ms, Some(60_000));
    for code in [ErrorCode::OrderBroken, ErrorCode::IdConflict, ErrorCode::NotFound] {
        assert_eq!(ErrorBody::new(code, "").retry_ms, None, "{code:?}");
    }
}
