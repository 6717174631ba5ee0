//! Live trace: actors emit events into a [`TraceSink`]; `crs-cli trace` reads them.

mod event;
mod filter;
mod hub;
mod item;

pub use event::{
    AttachEvent, AttachState, ConnectionEvent, ConnectionState, DebugEvent, MessageEvent,
    MessageState, MessageTrack, ObjectEvent, SessionEvent, StatisticsEvent, TraceEvent, TraceUser,
};
pub use filter::Filter;
pub use hub::{LISTENERS_MAX, RING, Subscription, TooManyListeners, TraceHub, Traced};
pub use item::{role, session_state};

/// Where trace events go. Emitting never blocks and never fails; a slow reader loses events,
/// which its ring counts.
pub trait TraceSink: Send + Sync {
    /// True when somebody listens; emitters may skip building an event otherwise.
    fn enabled(&self) -> bool;
    /// Hands an event to whoever listens.
    fn emit(&self, event: TraceEvent);
}

/// A sink that nobody reads.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTrace;

impl TraceSink for NoTrace {
    fn enabled(&self) -> bool {
        false
    }

    fn emit(&self, _: TraceEvent) {}
}
