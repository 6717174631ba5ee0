//! Whole-workspace tests: rules about the sources, and real processes on loopback.

mod source_rules;
mod transcript;
