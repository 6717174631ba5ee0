//! crs-ops against the real world: HTTP answers and scripts that run.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod http;
mod notify;
