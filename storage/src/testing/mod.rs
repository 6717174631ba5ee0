//! Fakes for tests of this and other crates: a disk that forgets, fills up and fails.

mod fake_disk;
mod stalling_disk;

pub use fake_disk::{FakeDisk, Plan};
pub use stalling_disk::{Stall, StallingDisk, Stalls};
