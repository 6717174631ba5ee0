//! Connections over real TLS on loopback.

mod attach;
mod limits;
mod ops;
