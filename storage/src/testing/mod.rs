//! Fakes for tests of this and other crates: a disk that forgets, fills up and fails.

mod fake_disk;

pub use fake_disk::{FakeDisk, Plan};
