//! The command as its users run it, and its files as the other sides read them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod ca;
mod cli;
mod domain;
mod paste;
mod third_party;
