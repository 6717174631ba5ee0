//! crs-ops against the real world: HTTP answers and scripts that run.

mod http;
mod notify;
