//! The layout of a record: `[<Time> | Type | Module(PID)] Information` (C-425, C-426, D-27).

use std::fmt::{self, Write as _};

use crs_types::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use super::INIT;

/// Target of the lines of `crs_relay.log`.
pub(super) const RELAY_TARGET: &str = "crs::relay_log";
/// Longest Information in bytes; the rest is cut and marked.
pub(super) const INFORMATION_MAX: usize = 4096;

/// What `crs_relay.log` tells (C-427…C-432).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayLogLine {
    /// Relay service started.
    Start,
    /// Relay service stopped.
    Stop,
    /// The node connected to the relay.
    Connection,
    /// That connection closed.
    Close,
    /// A new conversation was created.
    CommandAdd,
    /// Heartbeat between node and relay.
    CommandPoll,
}

impl fmt::Display for RelayLogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "Start",
            Self::Stop => "Stop",
            Self::Connection => "CONNECTION",
            Self::Close => "CLOSE",
            Self::CommandAdd => "Command add",
            Self::CommandPoll => "Command poll",
        })
    }
}

/// Writes a line of `crs_relay.log`. `detail` names allocations and counts, never users or keys.
pub fn relay_log(line: RelayLogLine, detail: &dyn fmt::Display) {
    tracing::info!(target: RELAY_TARGET, module = "relay", "{line} {detail}");
}

/// Which file a record goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogFile {
    /// `crs.log`.
    Main,
    /// `crs_relay.log`.
    Relay,
}

/// A record ready to be written, its time apart so that repeats can be recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) file: LogFile,
    pub(super) time: Timestamp,
    /// ` | Type | Module(PID)] Information`, one line.
    pub(super) rest: String,
    /// Repeats of this record within a short time are counted instead of written.
    pub(super) collapse: bool,
}

/// A record laid out but for what all of the process share.
pub(super) struct Record {
    pub(super) file: LogFile,
    kind: &'static str,
    pub(super) module: String,
    /// One line.
    pub(super) information: String,
}

impl Record {
    /// Lays out an event.
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let file = if metadata.target() == RELAY_TARGET { LogFile::Relay } else { LogFile::Main };
        let kind = type_of(*metadata.level(), metadata.target());
        let information = fields.information();
        let module = fields.module.unwrap_or_else(|| module_of(metadata.target()).to_owned());
        Self { file, kind, module, information }
    }

    /// As it is handed to the writer.
    pub(super) fn line(self, time: Timestamp, pid: u32) -> Line {
        let Self { file, kind, module, information } = self;
        let rest = format!(" | {kind} | {module}({pid})] {information}");
        Line { file, time, rest, collapse: kind == "WARN" }
    }
}

impl Line {
    /// The text as it stands in the file, with its newline.
    pub(super) fn text(&self) -> String {
        format!("[{}{}\n", self.time, self.rest)
    }
}

fn type_of(level: Level, target: &str) -> &'static str {
    if target == INIT {
        "INIT"
    } else if level <= Level::WARN {
        "WARN"
    } else if level == Level::INFO {
        "INFO"
    } else {
        "DEBUG"
    }
}

/// `crs_storage::wal` → `storage`, `crs_actors::session::shell` → `session`, `quinn` → `quinn`.
fn module_of(target: &str) -> &str {
    let mut parts = target.split("::");
    let first = parts.next().unwrap_or(target);
    match first.strip_prefix("crs_") {
        Some("actors") => parts.next().unwrap_or("actors"),
        Some(name) => name,
        None => first,
    }
}

#[derive(Default)]
struct Fields {
    module: Option<String>,
    message: String,
    rest: String,
}

impl Fields {
    fn put(&mut self, field: &Field, value: &dyn fmt::Display) {
        // Writing to a String cannot fail.
        let _infallible = match field.name() {
            "message" => write!(self.message, "{value}"),
            "module" => {
                self.module = Some(clean(&value.to_string()));
                Ok(())
            }
            name => write!(self.rest, " {name}={value}"),
        };
    }

    fn information(&self) -> String {
        let mut text = clean(&format!("{}{}", self.message, self.rest));
        if text.len() > INFORMATION_MAX {
            let cut =
                (0..=INFORMATION_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(cut);
            text.push_str(" …");
        }
        text
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, &value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, &value);
    }
}

/// One line, and nothing that could pose as another record or drive a terminal.
fn clean(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_from_targets() {
        assert_eq!(module_of("crs_storage::wal::writer"), "storage");
        assert_eq!(module_of("crs_actors::session::shell"), "session");
        assert_eq!(module_of("crs_actors"), "actors");
        assert_eq!(module_of("openraft::core"), "openraft");
    }

    #[test]
    fn control_characters_cannot_forge_a_line() {
        assert_eq!(
            clean("a\n[2026 | INFO | x(1)] b\x1b[31m"),
            "a\u{fffd}[2026 | INFO | x(1)] b\u{fffd}[31m"
        );
    }
}
