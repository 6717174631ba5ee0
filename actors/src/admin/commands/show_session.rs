//! `show session`: oldest first; ended ones while they are remembered.

use crs_admin_api::command::show_session::{Reply, SessionRow};
use crs_proto::session::Summary;
use crs_types::Timestamp;

use crate::admin::AdminContext;
use crate::trace::session_state;

pub(super) fn run(context: &AdminContext) -> Reply {
    let now = context.now();
    let mut sessions = context.sessions.snapshot();
    sessions.sort_by_key(|session| (session.since, session.id));
    sessions.into_iter().map(|session| row(&session, now)).collect()
}

fn row(session: &Summary, now: Timestamp) -> SessionRow {
    let end = session.end.as_ref().map(|end| (end.reason, end.who));
    SessionRow {
        caller: session.parties.caller.to_string(),
        callee: session.parties.callee.to_string(),
        time: now.since(session.since).as_secs(),
        state: session_state(session.state, end),
        account: session.parties.caller_account.to_string(),
        session_id: session.id.to_string(),
    }
}
