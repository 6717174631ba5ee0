//! The command as its users run it, and its files as the other sides read them.

mod cli;
mod domain;
mod third_party;
