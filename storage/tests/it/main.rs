//! Integration tests of the store: crashes, full disks, restarts.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod blobs;
mod bodies;
mod claim;
mod common;
mod crash;
mod full;
mod life;
mod limits;
mod restart;
mod stall;
mod stalled;
