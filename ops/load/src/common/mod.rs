//! What every kind of load needs.

pub mod bed;
pub mod files;
pub mod lean;
pub mod node;
pub mod process;
pub mod progress;
pub mod report;
pub mod users;
