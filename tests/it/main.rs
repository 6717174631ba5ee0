//! Whole-workspace tests: rules about the sources, and real processes on loopback.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod calls;
mod crash;
mod hostile;
mod limits;
mod source_rules;
mod transcript;
