//! What is printed: lines for people, or JSON lines; errors on standard error.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crs_client::{CallReport, ClientError, Event, ReceivedMessage};
use serde::Serialize;
use serde_json::{Value, json};

/// The two forms of output.
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// One result: an object in JSON, a line otherwise. A closed pipe is not an error.
    pub(crate) fn say(&self, text: &str, value: &Value) {
        let mut out = std::io::stdout().lock();
        let line = if self.json { value.to_string() } else { text.to_owned() };
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }

    pub(crate) fn event(&self, event: &Event) {
        let text = match event {
            Event::Attached { node, waiting } => {
                format!("attached to {node}, {waiting} waiting")
            }
            Event::Disconnected { why, retry_ms } => {
                format!("disconnected: {why}; next try in {:.1} s", *retry_ms as f64 / 1000.0)
            }
            Event::Denied { reason, text } => format!("denied ({}): {text}", word(reason)),
            Event::Unregistered { reason } => format!("unregistered: {}", word(reason)),
            Event::Message(message) => return self.message(message),
            Event::Receipt { mid, by, time, .. } => format!("{time} {by} has received {mid}"),
            Event::Posted { mid, copies } => format!("posted {mid} ({copies} copies)"),
            Event::PostFailed { mid, code, text } => format!("not sent {mid}: {code}: {text}"),
            Event::Incoming(call) => format!("call from {} ({})", call.from, call.account),
            Event::CallEnded { session, reason: Some(reason) } => {
                format!("call ended {session}: {}", word(reason))
            }
            Event::CallEnded { session, reason: None } => format!("call ended {session}"),
            Event::Updated { period } => format!("new keys for {period}"),
        };
        self.say(&text, &serde_json::to_value(event).unwrap_or_default());
    }

    fn message(&self, message: &ReceivedMessage) {
        let ReceivedMessage { mid, from, account, time, content, .. } = message;
        let (text, shown) = match content {
            Ok(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => (json!({ "text": text }), printable(text)),
                Err(_) => {
                    let base64 = STANDARD.encode(bytes);
                    (json!({ "base64": base64 }), format!("({} bytes)", bytes.len()))
                }
            },
            Err(why) => (json!({ "unreadable": why }), format!("(unreadable: {why})")),
        };
        let mut value = json!({
            "event": "message", "mid": mid, "from": from.to_string(),
            "account": account, "time": time,
        });
        if let (Value::Object(value), Value::Object(content)) = (&mut value, text) {
            value.extend(content);
        }
        self.say(&format!("{time} {from}: {shown}"), &value);
    }

    pub(crate) fn report(&self, report: &CallReport) {
        let m = &report.media;
        let text = if report.answered {
            format!(
                "call with {} ended: {} after {:.1} s; sent {}, received {}, lost {}, \
                 jitter {:.1} ms",
                report.peer,
                word(&report.reason),
                report.talk_ms as f64 / 1000.0,
                m.sent,
                m.received,
                m.lost,
                m.jitter_ms,
            )
        } else {
            format!(
                "no call with {}: {} ({})",
                report.peer,
                word(&report.state),
                word(&report.reason)
            )
        };
        let mut value = serde_json::to_value(report).unwrap_or_default();
        value["event"] = json!("call");
        self.say(&text, &value);
    }

    pub(crate) fn error(&self, error: &ClientError) {
        if self.json {
            eprintln!("{}", json!({ "event": "error", "message": error.to_string() }));
        } else {
            eprintln!("crs-client: {error}");
        }
    }
}

/// The wire's word for a value.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// Text from outside must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
