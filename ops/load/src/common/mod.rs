//! What every kind of load needs.

pub mod report;
