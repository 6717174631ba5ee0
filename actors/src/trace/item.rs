//! Trace events in the words that the operator reads.

use crs_admin_api::trace as api;
use crs_admin_api::trace::TraceItem;
use crs_proto::wire::call::{HangupReason, SessionState, Stage, Who};
use crs_proto::wire::life::Role;
use crs_proto::wire::word;

use super::{AttachState, ConnectionState, MessageState, MessageTrack, TraceEvent, TraceUser};

impl TraceEvent {
    /// The event as `crs-cli trace` prints it.
    pub fn to_item(&self) -> TraceItem {
        match self {
            Self::Attach(e) => TraceItem::Attach(attach(e)),
            Self::Session(e) => TraceItem::Session(session(e)),
            Self::Message(e) => TraceItem::Message(message(e)),
            Self::Connection(e) => TraceItem::Connection(connection(e)),
            Self::Event(e) => TraceItem::Event(api::DebugEvent {
                module: e.module.clone(),
                kind: "dbg".to_owned(),
                time: e.time.to_string(),
                information: e.information.clone(),
            }),
            Self::Object(e) => TraceItem::Object(api::ObjectEvent {
                time: e.time.to_string(),
                from: e.from.to_string(),
                event: e.event.clone(),
            }),
            Self::Statistics(e) => TraceItem::Statistics(api::StatisticsEvent {
                time: e.time.to_string(),
                kind: e.kind.to_owned(),
                uri: e.uri.to_string(),
                account: e.account.to_string(),
            }),
        }
    }
}

/// A session's state as `show session` prints it (C-175 … C-180).
pub fn session_state(state: SessionState, end: Option<(HangupReason, Who)>) -> String {
    match (state, end) {
        (SessionState::Invite, _) => "invite".to_owned(),
        (SessionState::Ringing, _) => "ringing".to_owned(),
        (SessionState::Talk, _) => "talk".to_owned(),
        (SessionState::ResponderNotFound, _) => "responder not found".to_owned(),
        (SessionState::ResponderNotConnected, _) => "responder not connected".to_owned(),
        (SessionState::Hangup, Some((reason, who))) => {
            format!("hangup({}, {})", word(&reason), word(&who))
        }
        (SessionState::Hangup, None) => "hangup".to_owned(),
    }
}

/// `primary` or `secondary` (C-331).
pub fn role(role: Role) -> &'static str {
    match role {
        Role::Primary => "primary",
        Role::Secondary => "secondary",
    }
}

fn attach(e: &super::AttachEvent) -> api::AttachEvent {
    let state = match e.state {
        AttachState::Registered => "registered",
        AttachState::Unregistered => "unregistered",
        AttachState::Denied => "denied",
    };
    api::AttachEvent {
        time: e.time.to_string(),
        connection_id: e.connection.0,
        kind: role(e.role).to_owned(),
        uri: e.uri.to_string(),
        account: e.account.to_string(),
        ip: e.addr.ip().to_string(),
        port: e.addr.port(),
        state: state.to_owned(),
        description: e.description.clone(),
    }
}

fn session(e: &super::SessionEvent) -> api::SessionEvent {
    let stage = e.stage.map(|stage| match stage {
        Stage::BeforeAnswer => "before answer",
        Stage::AfterAnswer => "after answer",
    });
    let detail: Vec<&str> = stage.into_iter().chain(e.detail.as_deref()).collect();
    api::SessionEvent {
        time: e.time.to_string(),
        caller: e.caller.to_string(),
        callee: e.callee.to_string(),
        // In every form of output as in the line, where a comma separates fields (C-342).
        state: session_state(e.state, e.end).replace(',', ";"),
        account: e.account.to_string(),
        session_id: e.session.to_string(),
        detail: (!detail.is_empty()).then(|| detail.join(": ")),
    }
}

fn message(e: &super::MessageEvent) -> api::MessageEvent {
    let state = match e.state {
        MessageState::NotFound => "not-found",
        MessageState::PostedContent => "posted content",
        MessageState::PostedAck => "posted ack",
        MessageState::Delivered => "delivered",
        MessageState::ForwardContent => "forward content",
        MessageState::ForwardAck => "forward ack",
    };
    let account = match &e.account {
        MessageTrack::Account(account) => account.to_string(),
        MessageTrack::Internal => "internal".to_owned(),
        MessageTrack::External => "external".to_owned(),
    };
    api::MessageEvent {
        time: e.time.to_string(),
        from: e.from.to_string(),
        to: e.to.to_string(),
        state: state.to_owned(),
        account,
        message_id: e.id.to_string(),
    }
}

fn connection(e: &super::ConnectionEvent) -> api::ConnectionEvent {
    let (user_type, user) = match &e.user {
        TraceUser::Client { uri, account } => ("client", format!("{uri}@{account}")),
        TraceUser::Admin { name } => ("admin", name.clone()),
        TraceUser::Unknown => ("unknown", "unknown".to_owned()),
    };
    let state = match e.state {
        ConnectionState::Connected => "connected",
        ConnectionState::Authenticated => "authenticated",
        ConnectionState::Negotiated => "negotiated",
        ConnectionState::Closed => "closed",
    };
    api::ConnectionEvent {
        time: e.time.to_string(),
        id: e.id.0,
        user_type: user_type.to_owned(),
        user,
        ip: e.addr.ip().to_string(),
        port: e.addr.port(),
        state: state.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crs_types::{AccountId, SessionId, Timestamp, Uri};

    use super::*;
    use crate::trace::SessionEvent;

    #[test]
    fn the_six_states_are_spelled_as_in_the_manuals() {
        let end = Some((HangupReason::AnsweredElsewhere, Who::Crs));
        assert_eq!(session_state(SessionState::Hangup, end), "hangup(answered-elsewhere, crs)");
        assert_eq!(session_state(SessionState::Talk, None), "talk");
        let state = session_state(SessionState::ResponderNotConnected, None);
        assert_eq!(state, "responder not connected");
    }

    #[test]
    fn a_hangup_line_has_its_reason_stage_and_detail() {
        let time = Timestamp::from_millis(0);
        let session = SessionId::from_parts(time, [0; 10]);
        let event = TraceEvent::Session(SessionEvent {
            time,
            caller: Uri::parse("+46701").unwrap(),
            callee: Uri::parse("+46702").unwrap(),
            state: SessionState::Hangup,
            end: Some((HangupReason::Busy, Who::Callee)),
            stage: Some(Stage::BeforeAnswer),
            detail: Some("dnd".to_owned()),
            account: AccountId::parse("police").unwrap(),
            session,
        });
        assert_eq!(
            event.to_item().json(false)["state"],
            "hangup(busy; callee)",
            "JSON as the line"
        );
        assert_eq!(
            event.to_item().line(true),
            format!(
                "event,1970-01-01T00:00:00.000Z,+46701,+46702,hangup(busy; callee),police,\
                 {session},before answer: dnd"
            )
        );
    }
}
