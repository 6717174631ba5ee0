//! How calls end, as a label.

use crs_proto::session::End;
use crs_proto::wire::call::SessionState;
use crs_proto::wire::word;

/// The `reason` of `crs_call_ends_total`: a call that reached nobody has no reason but its state
/// (C-473), and must not pass for an ordinary end.
pub(super) fn reason(end: &End) -> String {
    match end.state {
        SessionState::ResponderNotFound | SessionState::ResponderNotConnected => word(&end.state),
        SessionState::Hangup
        | SessionState::Invite
        | SessionState::Ringing
        | SessionState::Talk => word(&end.reason),
    }
}

#[cfg(test)]
mod tests {
    use crs_proto::wire::call::{HangupReason, Stage, Who};

    use super::*;

    #[test]
    fn calls_that_reach_nobody_do_not_look_like_ordinary_ones() {
        let (reason, who, stage) = (HangupReason::Normal, Who::Crs, Stage::BeforeAnswer);
        let words = [
            SessionState::ResponderNotFound,
            SessionState::ResponderNotConnected,
            SessionState::Hangup,
        ]
        .map(|state| super::reason(&End { state, reason, who, detail: None, stage }));
        assert_eq!(words, ["responder-not-found", "responder-not-connected", "normal"]);
    }
}
