//! The real program: exit codes, messages, and a node that starts, serves, reloads and stops.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;
mod health;
mod life;
mod program;
