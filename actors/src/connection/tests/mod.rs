//! Connections over real TLS on loopback.

mod attach;
mod bounds;
mod crowd;
mod limits;
mod ops;
