//! `crs.log` and `crs_relay.log` (C-424…C-432): one line per record in the manuals' layout,
//! written by one thread behind a bounded queue, rotated by size, level changeable live.

mod file;
mod layer;
mod line;
mod repeat;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use crs_types::Clock;
use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, reload};

use crate::Metrics;
use layer::{FileLayer, TapPlace};
use writer::Writer;

pub use layer::LogTap;
pub use line::{RelayLogLine, relay_log};

/// Target of records of Type INIT (C-426): `tracing::info!(target: INIT, module = "node", …)`.
pub const INIT: &str = "crs::init";
/// Target of the audit lines of administrators: written at every level of the log.
pub const AUDIT: &str = "crs::audit";
/// Records that wait to be written; more are counted and dropped.
pub const QUEUE_MAX: usize = 4096;

/// What to log and where.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// Folder of the two files; created when missing.
    pub dir: PathBuf,
    /// Least important Type that is written.
    pub level: LogLevel,
    /// A file is rotated when it would grow beyond this many bytes.
    pub max_bytes: u64,
    /// How many rotated files (`crs.log.1` …) are kept.
    pub keep: u32,
    /// Also write the lines to standard error (for `--dev` and journald).
    pub stderr: bool,
}

impl LogConfig {
    /// The defaults for a folder: INFO, 10 files of 16 MiB.
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            level: LogLevel::Info,
            max_bytes: 16 << 20,
            keep: 10,
            stderr: false,
        }
    }
}

/// Least important Type that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything a person may need to find a fault.
    Debug,
    /// State changes.
    Info,
    /// Only what a person may have to look at.
    Warn,
}

/// A text is not a level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected debug, info or warn, got {0:?}")]
pub struct LogLevelError(String);

impl FromStr for LogLevel {
    type Err = LogLevelError;
    fn from_str(text: &str) -> Result<Self, LogLevelError> {
        match text.to_ascii_lowercase().as_str() {
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" => Ok(Self::Warn),
            _ => Err(LogLevelError(text.chars().take(32).collect())),
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
        })
    }
}

/// The log files could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot write log file {path}: {source}", path = path.display())]
pub struct LogError {
    path: PathBuf,
    source: std::io::Error,
}

/// The running logger. Dropping it writes what waits and ends the thread.
pub struct Logging {
    control: LogControl,
    dispatch: Dispatch,
    writer: Writer,
}

impl Logging {
    /// Opens the files and starts the writer. The caller installs [`Self::dispatch`] (globally in
    /// the node, for one closure in tests).
    pub fn start(
        config: &LogConfig,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Result<Self, LogError> {
        let writer = Writer::start(config, Arc::clone(&clock), metrics)?;
        let (filter, handle) = reload::Layer::new(targets(config.level));
        let tap = TapPlace::default();
        let layer = FileLayer::new(writer.queue(), clock, Arc::clone(&tap)).with_filter(filter);
        let dispatch = Dispatch::new(Registry::default().with(layer));
        let control = LogControl { filter: handle, queue: writer.queue(), tap };
        Ok(Self { control, dispatch, writer })
    }

    /// The dispatcher that feeds the files.
    pub fn dispatch(&self) -> Dispatch {
        self.dispatch.clone()
    }

    /// The knobs that can be turned while running.
    pub fn control(&self) -> LogControl {
        self.control.clone()
    }

    /// Returns when every record handed in before is in its file. Blocks: for shutdown and tests.
    pub fn flush(&self) {
        self.writer.queue().flush();
    }
}

/// Changes a running logger. Cheap to clone.
#[derive(Clone)]
pub struct LogControl {
    filter: reload::Handle<Targets, Registry>,
    queue: writer::Queue,
    tap: TapPlace,
}

impl LogControl {
    /// Lets a tap see the records of `crs.log` from now on. There is one at most: false when it
    /// has been put already.
    pub fn follow(&self, tap: Arc<dyn LogTap>) -> bool {
        self.tap.set(tap).is_ok()
    }

    /// Changes the level at once. Returns false when the logger is gone.
    pub fn set_level(&self, level: LogLevel) -> bool {
        self.filter.reload(targets(level)).is_ok()
    }

    /// Opens the files anew (after an external rotation). Never blocks.
    pub fn reopen(&self) {
        self.queue.reopen();
    }
}

/// Our own records from `level` up; those of libraries only from WARN up.
fn targets(level: LogLevel) -> Targets {
    let own = match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
    };
    Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("crs", own)
        .with_target(INIT, LevelFilter::INFO)
        .with_target(AUDIT, LevelFilter::INFO)
        .with_target(line::RELAY_TARGET, LevelFilter::INFO)
}

#[cfg(test)]
mod tests;
