//! What operators and their tools see of a node: metrics, health answers, log files and the
//! notification hook. Nothing here is global except the tracing dispatcher that the composition
//! root installs; metrics live in a recorder of their own, so many nodes fit in one process.

pub mod health;
pub mod log;
pub mod metrics;
pub mod notify;
pub mod process;
pub mod server;

pub use health::{Health, NotReady};
pub use log::{LogConfig, LogControl, LogLevel, Logging, RelayLogLine, relay_log};
pub use metrics::{BuildInfo, Metrics};
pub use notify::{Notifier, NotifyHook, SystemEvent};
pub use server::{HealthServer, ServerError};
