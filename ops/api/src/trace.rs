//! The events of `trace …`: their fields in the manuals' order (C-325 … C-378, D-28).
//!
//! A line is `event,<time>,…`; debug events have no header and begin with the module. A comma
//! inside a field becomes a semicolon, so that a line always splits into its fields (D-42).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::render::text_of;
use crate::view::{Column, Row};

crate::row! {
    /// A registration changed (C-327 … C-337).
    pub struct AttachEvent {
        /// When, in UTC.
        time: String => "Time",
        /// The connection the client attached with.
        connection_id: u64 => "Connection-Id",
        /// `primary` or `secondary`.
        kind as "type": String => "Type",
        /// The client's number.
        uri: String => "URI",
        /// Its account.
        account: String => "Account",
        /// Its address.
        ip: String => "IP",
        /// Its port.
        port: u16 => "Port",
        /// `registered`, `unregistered` or `denied`.
        state: String => "State",
        /// Why.
        description: String => "Description",
    }
}

crate::row! {
    /// A session changed (C-338 … C-344).
    pub struct SessionEvent {
        /// When, in UTC.
        time: String => "Time",
        /// Who calls.
        caller: String => "Caller",
        /// Who is called.
        callee: String => "Callee",
        /// The states of `show session`, with `hangup(reason; who)`.
        state: String => "State",
        /// The account.
        account: String => "Account",
        /// The session's id.
        session_id: String => "Session-ID",
        /// More about why a session ended: stage and detail word.
        detail: Option<String> => verbose "Detail",
    }
}

crate::row! {
    /// A message moved (C-345 … C-357).
    pub struct MessageEvent {
        /// When, in UTC.
        time: String => "Time",
        /// Who sends.
        from: String => "From",
        /// Who receives.
        to: String => "To",
        /// `not-found`, `posted content`, `posted ack`, `delivered`, `forward content` or
        /// `forward ack`.
        state: String => "State",
        /// The receiver's account, `internal` or `external`.
        account: String => "Account",
        /// The message's id.
        message_id: String => "Message-ID",
    }
}

crate::row! {
    /// A connection moved on (C-367 … C-378).
    pub struct ConnectionEvent {
        /// When, in UTC.
        time: String => "Time",
        /// The connection's id.
        id: u64 => "Id",
        /// `client`, `admin` or `unknown`.
        user_type: String => "User-Type",
        /// `<URI>@<Account>`, the admin's name, or `unknown`.
        user: String => "User",
        /// The remote address.
        ip: String => "IP",
        /// The remote port.
        port: u16 => "Port",
        /// `connected`, `authenticated`, `negotiated` or `closed`.
        state: String => "State",
    }
}

crate::row! {
    /// A client's object changed (C-358 … C-361).
    pub struct ObjectEvent {
        /// When, in UTC.
        time: String => "Time",
        /// The number it is about.
        from: String => "From",
        /// What changed, such as `update client_token`.
        event: String => "Event",
    }
}

crate::row! {
    /// Something was counted (C-379 … C-382).
    pub struct StatisticsEvent {
        /// When, in UTC.
        time: String => "Time",
        /// The counter's name.
        kind as "type": String => "Type",
        /// The number concerned.
        uri: String => "Uri",
        /// Its account.
        account: String => "Account",
    }
}

crate::row! {
    /// Anything else worth a line (C-362 … C-366).
    pub struct DebugEvent {
        /// The module that says it.
        module: String => "Module",
        /// `dbg`.
        kind as "type": String => "Type",
        /// When, in UTC.
        time: String => "Time",
        /// What.
        information: String => "Information",
    }
}

crate::row! {
    /// The reader was too slow: this many events are missing here.
    pub struct DroppedEvent {
        /// When, in UTC.
        time: String => "Time",
        /// Events missing.
        dropped: u64 => "Dropped",
    }
}

/// One event of a trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "trace", rename_all = "lowercase")]
pub enum TraceItem {
    /// A registration changed.
    Attach(AttachEvent),
    /// A session changed.
    Session(SessionEvent),
    /// A message moved.
    Message(MessageEvent),
    /// A connection moved on.
    Connection(ConnectionEvent),
    /// A client's object changed.
    Object(ObjectEvent),
    /// Something was counted.
    Statistics(StatisticsEvent),
    /// Anything else.
    Event(DebugEvent),
    /// Events are missing here.
    Dropped(DroppedEvent),
}

impl TraceItem {
    /// The comma-separated line of the manuals.
    pub fn line(&self, verbose: bool) -> String {
        let fields = self.fields(verbose).into_iter().map(|(_, text)| text.replace(',', ";"));
        self.header().map(str::to_owned).into_iter().chain(fields).collect::<Vec<_>>().join(",")
    }

    /// The same fields, separated by tabs.
    pub fn tsv(&self, verbose: bool) -> String {
        let fields = self.fields(verbose).into_iter().map(|(_, text)| text);
        self.header().map(str::to_owned).into_iter().chain(fields).collect::<Vec<_>>().join("\t")
    }

    /// The same fields as one JSON object, with the element under `trace`.
    pub fn json(&self, verbose: bool) -> Value {
        let (word, columns, row) = self.parts();
        let visible = columns.iter().filter(|c| verbose || !c.verbose);
        let mut object: Map<String, Value> = visible
            .map(|c| (c.key.to_owned(), row.get(c.key).cloned().unwrap_or(Value::Null)))
            .collect();
        object.insert("trace".to_owned(), Value::from(word));
        Value::Object(object)
    }

    fn fields(&self, verbose: bool) -> Vec<(&'static str, String)> {
        let (_, columns, row) = self.parts();
        columns
            .iter()
            .filter(|c| verbose || !c.verbose)
            .map(|c| (c.title, text_of(row.get(c.key).unwrap_or(&Value::Null))))
            .collect()
    }

    /// The constant first field (C-328); debug events have none, missing ones say what they are.
    fn header(&self) -> Option<&'static str> {
        match self {
            Self::Attach(_)
            | Self::Session(_)
            | Self::Message(_)
            | Self::Connection(_)
            | Self::Object(_)
            | Self::Statistics(_) => Some("event"),
            Self::Event(_) => None,
            Self::Dropped(_) => Some("dropped"),
        }
    }

    fn parts(&self) -> (&'static str, &'static [Column], Map<String, Value>) {
        match self {
            Self::Attach(event) => parts_of("attach", event),
            Self::Session(event) => parts_of("session", event),
            Self::Message(event) => parts_of("message", event),
            Self::Connection(event) => parts_of("connection", event),
            Self::Object(event) => parts_of("object", event),
            Self::Statistics(event) => parts_of("statistics", event),
            Self::Event(event) => parts_of("event", event),
            Self::Dropped(event) => parts_of("dropped", event),
        }
    }
}

fn parts_of<R: Row>(
    word: &'static str,
    event: &R,
) -> (&'static str, &'static [Column], Map<String, Value>) {
    let row = match serde_json::to_value(event) {
        Ok(Value::Object(map)) => map,
        Ok(_) | Err(_) => Map::new(),
    };
    (word, R::COLUMNS, row)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-21T08:00:00.123Z";

    fn attach() -> TraceItem {
        TraceItem::Attach(AttachEvent {
            time: TIME.to_owned(),
            connection_id: 7,
            kind: "primary".to_owned(),
            uri: "+46701234567".to_owned(),
            account: "police".to_owned(),
            ip: "192.0.2.1".to_owned(),
            port: 40_000,
            state: "denied".to_owned(),
            description: "blacklisted, by the operator".to_owned(),
        })
    }

    #[test]
    fn an_attach_line_has_the_manuals_order_and_splits_at_commas() {
        assert_eq!(
            attach().line(false),
            "event,2026-11-21T08:00:00.123Z,7,primary,+46701234567,police,192.0.2.1,40000,denied,\
             blacklisted; by the operator"
        );
        assert_eq!(attach().tsv(false).split('\t').count(), 10);
    }

    #[test]
    fn a_session_line_writes_hangup_with_a_semicolon() {
        let event = TraceItem::Session(SessionEvent {
            time: TIME.to_owned(),
            caller: "+461".to_owned(),
            callee: "+462".to_owned(),
            state: "hangup(busy; callee)".to_owned(),
            account: "police".to_owned(),
            session_id: "id".to_owned(),
            detail: Some("ringing".to_owned()),
        });
        let line = "event,2026-11-21T08:00:00.123Z,+461,+462,hangup(busy; callee),police,id";
        assert_eq!(event.line(false), line);
        assert_eq!(event.line(true), format!("{line},ringing"));
    }

    #[test]
    fn a_message_and_a_connection_line_have_the_manuals_order() {
        let message = TraceItem::Message(MessageEvent {
            time: TIME.to_owned(),
            from: "+461".to_owned(),
            to: "+462".to_owned(),
            state: "posted content".to_owned(),
            account: "police".to_owned(),
            message_id: "id".to_owned(),
        });
        let line = format!("event,{TIME},+461,+462,posted content,police,id");
        assert_eq!(message.line(false), line);
        let connection = TraceItem::Connection(ConnectionEvent {
            time: TIME.to_owned(),
            id: 3,
            user_type: "client".to_owned(),
            user: "+461@police".to_owned(),
            ip: "::1".to_owned(),
            port: 5,
            state: "authenticated".to_owned(),
        });
        let line = format!("event,{TIME},3,client,+461@police,::1,5,authenticated");
        assert_eq!(connection.line(false), line);
    }

    #[test]
    fn a_debug_line_begins_with_its_module() {
        let event = TraceItem::Event(DebugEvent {
            module: "store".to_owned(),
            kind: "dbg".to_owned(),
            time: TIME.to_owned(),
            information: "leader\u{1b}[31m of 0".to_owned(),
        });
        assert_eq!(event.line(false), format!("store,dbg,{TIME},leader\\u{{1b}}[31m of 0"));
        assert_eq!(event.json(false)["trace"], "event");
    }

    #[test]
    fn items_survive_the_wire() {
        let text = serde_json::to_string(&attach()).unwrap();
        assert_eq!(serde_json::from_str::<TraceItem>(&text).unwrap(), attach());
    }
}
