//! Connections over real TLS on loopback.

mod attach;
mod bounds;
mod limits;
mod ops;
