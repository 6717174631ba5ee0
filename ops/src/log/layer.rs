//! The tracing layer that hands laid-out records to the writer, and to who follows along.

use std::sync::Arc;

use crs_types::{Clock, Timestamp};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::line::{LogFile, Record};
use super::writer::Queue;

/// Sees every record of `crs.log` as it is written. Must neither block nor log.
pub trait LogTap: Send + Sync {
    /// True while somebody wants them; asked before each record.
    fn enabled(&self) -> bool;
    /// A record: when, its module, its Information.
    fn record(&self, time: Timestamp, module: &str, information: &str);
}

/// Where a tap is put when it exists, which is later than the first records.
pub(super) type TapPlace = Arc<std::sync::OnceLock<Arc<dyn LogTap>>>;

pub(super) struct FileLayer {
    queue: Queue,
    clock: Arc<dyn Clock>,
    pid: u32,
    tap: TapPlace,
}

impl FileLayer {
    pub(super) fn new(queue: Queue, clock: Arc<dyn Clock>, tap: TapPlace) -> Self {
        Self { queue, clock, pid: std::process::id(), tap }
    }
}

impl<S: Subscriber> Layer<S> for FileLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let (record, now) = (Record::of(event), self.clock.now());
        let tap = self.tap.get().filter(|tap| record.file == LogFile::Main && tap.enabled());
        if let Some(tap) = tap {
            tap.record(now, &record.module, &record.information);
        }
        self.queue.line(record.line(now, self.pid));
    }
}
