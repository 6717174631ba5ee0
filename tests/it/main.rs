//! Whole-workspace tests: rules about the sources, and real processes on loopback.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod bed;
mod calls;
mod crash;
mod fuzz_script;
mod hostile;
mod hosts;
mod limits;
mod load;
mod secrets;
mod source_rules;
mod transcript;
