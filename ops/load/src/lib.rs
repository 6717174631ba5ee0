//! `crs-load`: measures a node from outside, with the floors it is compared with.

pub mod calls;
pub mod cli;
pub mod common;
pub mod floor;
pub mod idle;
pub mod messages;
pub mod overload;
pub mod relay;
pub mod storm;
