//! Integration tests of the store: crashes, full disks, restarts.

mod common;
mod crash;
mod full;
mod restart;
