//! Whole-workspace tests: rules about the sources, and real processes on loopback.

mod hostile;
mod calls;
mod crash;
mod limits;
mod source_rules;
mod transcript;
