//! PR-06: every operation in every state of a connection, and random histories.

use proptest::prelude::*;

use super::*;
use crate::codec::{OpName, parse_request};

const REQUESTS: [&str; 17] = [
    r#""attach","role":"primary","device":"d""#,
    r#""detach""#,
    r#""bye""#,
    r#""time""#,
    r#""lookup","uri":"+46701""#,
    r#""call.invite","session":"01932c2e-a000-7abc-8def-0123456789ab","to":"+46701","offer":"""#,
    r#""call.ringing","session":"01932c2e-a000-7abc-8def-0123456789ab""#,
    r#""call.answer","session":"01932c2e-a000-7abc-8def-0123456789ab","answer":"""#,
    r#""call.hangup","session":"01932c2e-a000-7abc-8def-0123456789ab""#,
    r#""msg.post","mid":"01932c2e-a000-7abc-8def-0123456789ab","to":"+46701","body":"""#,
    r#""msg.fetch""#,
    r#""msg.ack","n":[1]"#,
    r#""relay.alloc","session":"01932c2e-a000-7abc-8def-0123456789ab""#,
    r#""relay.refresh","leg":1"#,
    r#""relay.free","leg":1"#,
    r#""upd.get","period":"2026-11""#,
    r#""upd.confirm","period":"2026-11","serial":1"#,
];

fn op(at: usize) -> Op {
    parse_request(&format!(r#"{{"id":1,"op":{}}}"#, REQUESTS[at])).unwrap().op
}

/// A connection in one of its states.
fn rig(terms: CertificateTerms, registration: Registration) -> Rig {
    let mut rig = Rig::new();
    match registration {
        Registration::None => {}
        Registration::Attaching => drop(rig.receive(attach())),
        Registration::Attached(role) => {
            rig.receive(attach());
            rig.done(Outcome::Attached(role));
        }
    }
    if terms == CertificateTerms::UpdateOnly {
        // The certificate's time passes; the shell has not polled yet.
        rig.wait(UNTIL.as_millis());
    }
    rig
}

/// What docs/protocol.md §3 says.
fn expected(name: OpName, terms: CertificateTerms, state: Registration) -> Option<ErrorCode> {
    let always = [OpName::Bye, OpName::Time, OpName::UpdateGet, OpName::UpdateConfirm];
    if always.contains(&name) {
        return None;
    }
    match (terms, state) {
        // The shell denies it, with the reason.
        (CertificateTerms::UpdateOnly, Registration::None) if name == OpName::Attach => None,
        (CertificateTerms::UpdateOnly, _) => Some(ErrorCode::Denied),
        (CertificateTerms::Full { .. }, Registration::Attached(_)) => None,
        (CertificateTerms::Full { .. }, Registration::None) if name == OpName::Attach => None,
        (CertificateTerms::Full { .. }, Registration::Attaching) if name == OpName::Attach => {
            Some(ErrorCode::NotAllowed)
        }
        (CertificateTerms::Full { .. }, Registration::None | Registration::Attaching) => {
            Some(ErrorCode::NotAttached)
        }
    }
}

#[test]
fn every_op_in_every_state_runs_or_is_refused_by_name() {
    let names: Vec<OpName> = (0..REQUESTS.len()).map(|at| op(at).name()).collect();
    assert!(OpName::ALL.iter().all(|name| names.contains(name)), "an op is missing here");
    for terms in [CertificateTerms::Full { until: UNTIL }, CertificateTerms::UpdateOnly] {
        for state in [
            Registration::None,
            Registration::Attaching,
            Registration::Attached(Role::Primary),
            Registration::Attached(Role::Secondary),
        ] {
            for (at, name) in names.iter().enumerate() {
                let mut rig = rig(terms, state);
                let told = match rig.receive(op(at)) {
                    Admission::Run(_) => None,
                    Admission::Refuse { id: Some(_), error } => Some(error.code),
                    other @ (Admission::Held
                    | Admission::Refuse { id: None, .. }
                    | Admission::RefuseAndClose { .. }) => panic!("{name:?}: {other:?}"),
                };
                assert_eq!(told, expected(*name, terms, state), "{name:?} {terms:?} {state:?}");
            }
        }
    }
}

/// What may happen to a connection.
#[derive(Debug, Clone)]
enum Step {
    Receive(usize),
    Malformed,
    /// The oldest request ends; a post with this error.
    Finish(Option<ErrorCode>),
    Unregistered,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..REQUESTS.len()).prop_map(Step::Receive),
        1 => Just(Step::Malformed),
        4 => Just(Step::Finish(None)),
        1 => Just(Step::Finish(Some(ErrorCode::Unavailable))),
        1 => Just(Step::Finish(Some(ErrorCode::NotFound))),
        1 => Just(Step::Unregistered),
        3 => (1u64..40_000).prop_map(Step::Wait),
    ]
}

fn outcome(op: Op, error: Option<ErrorCode>) -> Outcome {
    if let Op::Post(Post { to, mid, .. }) = op {
        return Outcome::Posted { to, mid, error };
    }
    if let Op::Attach(attach) = op {
        return error.map_or(Outcome::Attached(attach.role), |_| Outcome::NotAttached);
    }
    if op.name() == OpName::Detach { Outcome::Detached } else { Outcome::Done }
}

proptest! {
    /// No panic; what is under way is what runs or is held, and never more than its limit.
    #[test]
    fn any_history_is_sane(steps in proptest::collection::vec(step(), 0..200)) {
        let mut rig = Rig::new();
        let mut running: Vec<Op> = Vec::new();
        let mut held = 0usize;
        for step in steps {
            let admissions = match step {
                Step::Receive(at) => vec![rig.receive(op(at))],
                Step::Malformed => {
                    let body = ErrorBody::new(ErrorCode::Malformed, "x");
                    let bad = Err(Refusal { id: None, body });
                    vec![rig.core.receive(&rig.config, &mut rig.user, bad, rig.now)]
                }
                Step::Finish(error) if !running.is_empty() => {
                    let released = rig.done(outcome(running.remove(0), error));
                    held = held.saturating_sub(released.len());
                    released
                }
                Step::Finish(_) => Vec::new(),
                Step::Unregistered => {
                    rig.core.unregistered();
                    Vec::new()
                }
                Step::Wait(millis) => {
                    rig.wait(millis);
                    while rig.core.poll(&rig.config, rig.now).is_some() {}
                    Vec::new()
                }
            };
            for admission in admissions {
                match admission {
                    Admission::Run(request) => running.push(request.op),
                    Admission::Held => held += 1,
                    Admission::Refuse { .. } | Admission::RefuseAndClose { .. } => {}
                }
            }
            let under_way = usize::from(rig.core.in_flight());
            prop_assert!(under_way <= REQUESTS_IN_FLIGHT_MAX);
            prop_assert_eq!(under_way, running.len() + held);
        }
    }
}
