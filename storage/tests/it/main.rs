//! Integration tests of the store: crashes, full disks, restarts.

mod common;
mod crash;
mod figures;
mod full;
mod restart;
