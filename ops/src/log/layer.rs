//! The tracing layer that hands laid-out records to the writer.

use std::sync::Arc;

use crs_types::Clock;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::line::Line;
use super::writer::Queue;

pub(super) struct FileLayer {
    queue: Queue,
    clock: Arc<dyn Clock>,
    pid: u32,
}

impl FileLayer {
    pub(super) fn new(queue: Queue, clock: Arc<dyn Clock>) -> Self {
        Self { queue, clock, pid: std::process::id() }
    }
}

impl<S: Subscriber> Layer<S> for FileLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        self.queue.line(Line::of(event, self.clock.now(), self.pid));
    }
}
