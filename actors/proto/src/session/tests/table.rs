//! Every input in every state: what it does, in one table that a change has to change.

use super::super::*;
use super::rig::*;
use crate::wire::call::HangupReason;

type Case = (&'static str, fn() -> Input);

fn request(from: Endpoint, request: CallRequest) -> Input {
    Input::Request { from, tag: ReplyTag(99), request }
}

fn report() -> MediaReport {
    let leg = LegReport { path: LegPath::Bound, last_packet: None };
    MediaReport { caller: leg, callee: leg }
}

const INPUTS: &[Case] = &[
    ("invite", || request(caller(), CallRequest::Invite(invite()))),
    ("invite by callee", || request(callee(1), CallRequest::Invite(invite()))),
    ("ringing 1", || request(callee(1), CallRequest::Ringing)),
    ("ringing 2", || request(callee(2), CallRequest::Ringing)),
    ("ringing caller", || request(caller(), CallRequest::Ringing)),
    ("answer 1", || request(callee(1), answer("answer"))),
    ("answer 2", || request(callee(2), answer("answer"))),
    ("answer caller", || request(caller(), answer("answer"))),
    ("hangup caller", || request(caller(), hangup(HangupReason::Normal))),
    ("hangup 1", || request(callee(1), hangup(HangupReason::Normal))),
    ("hangup 2", || request(callee(2), hangup(HangupReason::Normal))),
    ("busy 1", || request(callee(1), hangup(HangupReason::Busy))),
    ("alloc caller", || request(caller(), CallRequest::Alloc)),
    ("alloc 1", || request(callee(1), CallRequest::Alloc)),
    ("alloc 2", || request(callee(2), CallRequest::Alloc)),
    ("refresh", || request(caller(), CallRequest::Refresh(crs_types::LegId(1)))),
    ("free", || request(caller(), CallRequest::Free(crs_types::LegId(1)))),
    ("stranger", || request(callee(9), CallRequest::Ringing)),
    ("attached 3", || Input::Attached { device: callee(3), resumes: false }),
    ("attached 1", || Input::Attached { device: callee(1), resumes: false }),
    ("resumed 1", || Input::Attached { device: callee(1), resumes: true }),
    ("resumed caller", || Input::Attached { device: caller(), resumes: true }),
    ("lost 1", || Input::Lost { device: callee(1) }),
    ("relay ready", || Input::RelayReady { caller: leg(1), callee: leg(2) }),
    ("relay failed", || Input::RelayFailed(RelayFailure::Limit)),
    ("relay lost", || Input::RelayLost),
    ("media", || Input::Media(report())),
    ("end", || Input::End { reason: HangupReason::Operator, detail: None }),
    ("tick", || Input::Tick),
];

/// Effects per state: invite, ringing (by device 1), talk (with device 1), hangup (by caller).
const EXPECTED: &[(&str, [&str; 4])] = &[
    (
        "invite",
        ["reply invite", "reply ringing", "reply talk+answer", "reply hangup(normal, caller)"],
    ),
    ("invite by callee", ["reply !id-conflict"; 4]),
    (
        "ringing 1",
        [
            "reply ringing+offer | to 1 ringing | = ringing",
            "reply ringing+offer",
            "reply talk",
            "reply hangup(normal, caller)",
        ],
    ),
    (
        "ringing 2",
        [
            "reply ringing+offer | to 1 ringing | = ringing",
            "reply ringing+offer",
            "reply hangup(answered-elsewhere, crs)",
            "reply hangup(answered-elsewhere, crs)",
        ],
    ),
    ("ringing caller", ["reply !not-allowed"; 4]),
    (
        "answer 1",
        [
            "reply talk | to 1 talk+answer | to 12 hangup(answered-elsewhere, crs) | = talk",
            "reply talk | to 1 talk+answer | to 12 hangup(answered-elsewhere, crs) | = talk",
            "reply talk",
            "reply !gone",
        ],
    ),
    (
        "answer 2",
        [
            "reply talk | to 1 talk+answer | to 11 hangup(answered-elsewhere, crs) | = talk",
            "reply talk | to 1 talk+answer | to 11 hangup(answered-elsewhere, crs) | = talk",
            "reply !gone",
            "reply !gone",
        ],
    ),
    ("answer caller", ["reply !not-allowed"; 4]),
    (
        "hangup caller",
        [
            "reply hangup(cancelled, caller) | to 11 hangup(cancelled, caller) | to 12 hangup(cancelled, caller) | = hangup",
            "reply hangup(cancelled, caller) | to 11 hangup(cancelled, caller) | to 12 hangup(cancelled, caller) | = hangup",
            "reply hangup(normal, caller) | to 11 hangup(normal, caller) | = hangup",
            "reply hangup(normal, caller)",
        ],
    ),
    (
        "hangup 1",
        [
            "reply hangup(declined, callee) | to 1 hangup(declined, callee) | to 12 hangup(declined, callee) | = hangup",
            "reply hangup(declined, callee) | to 1 hangup(declined, callee) | to 12 hangup(declined, callee) | = hangup",
            "reply hangup(normal, callee) | to 1 hangup(normal, callee) | = hangup",
            "reply hangup(normal, caller)",
        ],
    ),
    (
        "hangup 2",
        [
            "reply hangup(declined, callee) | to 1 hangup(declined, callee) | to 11 hangup(declined, callee) | = hangup",
            "reply hangup(declined, callee) | to 1 hangup(declined, callee) | to 11 hangup(declined, callee) | = hangup",
            "reply hangup(answered-elsewhere, crs)",
            "reply hangup(answered-elsewhere, crs)",
        ],
    ),
    (
        "busy 1",
        [
            "reply hangup(busy, callee)",
            "reply hangup(busy, callee)",
            "reply hangup(normal, callee) | to 1 hangup(normal, callee) | = hangup",
            "reply hangup(normal, caller)",
        ],
    ),
    ("alloc caller", ["alloc", "alloc", "alloc", "reply !gone"]),
    ("alloc 1", ["alloc", "alloc", "alloc", "reply !gone"]),
    ("alloc 2", ["alloc", "alloc", "reply !gone", "reply !gone"]),
    ("refresh", ["reply !gone"; 4]),
    ("free", ["reply !gone"; 4]),
    ("stranger", ["reply !gone"; 4]),
    ("attached 3", ["to 13 invite+offer", "to 13 ringing+offer", "", ""]),
    ("attached 1", ["to 11 invite+offer", "to 11 ringing+offer", "", ""]),
    ("resumed 1", [""; 4]),
    ("resumed caller", [""; 4]),
    ("lost 1", [""; 4]),
    ("relay ready", ["free"; 4]),
    ("relay failed", [""; 4]),
    ("relay lost", [""; 4]),
    ("media", [""; 4]),
    (
        "end",
        [
            "to 1 hangup(operator, crs) | to 11 hangup(operator, crs) | to 12 hangup(operator, crs) | = hangup",
            "to 1 hangup(operator, crs) | to 11 hangup(operator, crs) | to 12 hangup(operator, crs) | = hangup",
            "to 1 hangup(operator, crs) | to 11 hangup(operator, crs) | = hangup",
            "",
        ],
    ),
    ("tick", [""; 4]),
];

#[test]
fn every_input_in_every_state() {
    let states: [fn() -> Rig; 4] = [Rig::calling, Rig::ringing, Rig::talking, Rig::ended];
    assert_eq!(INPUTS.len(), EXPECTED.len());
    for ((name, input), (row, expected)) in INPUTS.iter().zip(EXPECTED) {
        assert_eq!(name, row);
        for (column, (state, expected)) in states.iter().zip(expected).enumerate() {
            let effects = state().feed(input()).join(" | ");
            assert_eq!(effects, *expected, "{name} in state {column}");
        }
    }
}
