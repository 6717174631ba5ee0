//! What is printed: lines for people, or JSON lines; errors on standard error.

use std::io::Write;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crs_client::{CallReport, ClientError, Event, ReceivedMessage, copies_text};
use crs_proto::wire::word;
use crs_types::shell;
use serde_json::{Value, json};

use super::DEFAULT_PROFILE;

/// The two forms of output.
pub(crate) struct Output {
    json: bool,
    /// What has to stand behind `crs-client` in a command that is printed.
    options: String,
}

impl Output {
    pub(crate) fn new(json: bool, profile: &Path) -> Self {
        let by_itself = std::env::var_os("CRS_PROFILE").unwrap_or_else(|| DEFAULT_PROFILE.into());
        let options = if profile == Path::new(&by_itself) {
            String::new()
        } else {
            format!("--profile {}", shell::word(&profile.display().to_string()))
        };
        Self { json, options }
    }

    /// A command of this program for the same profile, to be pasted.
    pub(crate) fn command(&self, words: &str) -> String {
        shell::with_options(&format!("crs-client {words}"), "crs-client", &self.options)
    }

    /// The text, with commands that work on the same profile.
    fn pasteable(&self, text: &str) -> String {
        shell::hint_with_options(text, "crs-client", &self.options)
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
            Event::Disconnected { why, retry_ms: Some(retry_ms) } => {
                let why = self.pasteable(why);
                format!("disconnected: {why}; next try in {:.1} s", *retry_ms as f64 / 1000.0)
            }
            Event::Disconnected { why, retry_ms: None } => {
                format!("disconnected: {why}; start again to take the place back")
            }
            Event::Denied { reason, text } => format!("denied ({}): {text}", word(reason)),
            Event::Unregistered { reason } => format!("unregistered: {}", word(reason)),
            Event::Message(message) => return self.message(message),
            Event::Receipt { mid, by, time, .. } => format!("{time} {by} has received {mid}"),
            Event::Posted { mid, copies } => format!("posted {mid} ({})", copies_text(*copies)),
            Event::PostFailed { mid, code, text } => format!("not sent {mid}: {code}: {text}"),
            Event::ContactChanged { uri, known, named } => format!(
                "{uri} was of account {known} until now and is named as a user of {named}; its \
                 messages wait and its calls are refused until you accept that: /accept {uri} \
                 {named}, or crs-client contacts accept {uri} {named}"
            ),
            Event::StorageFailed { why } => format!(
                "the profile cannot be written: {why}; make room, everything is tried again"
            ),
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

    /// What to do next, for people only.
    pub(crate) fn hint(&self, text: &str) {
        if !self.json {
            eprintln!("crs-client: {text}");
        }
    }

    pub(crate) fn error(&self, error: &ClientError) {
        let text = self.pasteable(&error.to_string());
        if self.json {
            eprintln!("{}", json!({ "event": "error", "message": text }));
        } else {
            eprintln!("crs-client: {text}");
        }
    }
}

/// Text from outside must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
