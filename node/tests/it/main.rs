//! The real program: exit codes, messages, and a node that starts, serves, reloads and stops.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;
mod events;
mod health;
mod life;
mod metric_names;
mod metrics;
mod program;
