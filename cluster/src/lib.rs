//! How nodes of a pool reach each other. On a single node: nobody, and every call says so.

pub mod network;
pub mod placement;

pub use network::Unreachable;
pub use placement::{GroupPlacement, Placement};
