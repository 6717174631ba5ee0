//! Offline key management of an organisation: domain, users, team codes, connected domains,
//! monthly update files, enrolment bundles.
//!
//! No network. The library is what the `crs-cms` command runs and what tests use directly:
//! [`Domain::create`], [`Domain::open`], [`Domain::add_user`], [`update::create`],
//! [`enrol::bundle`], [`share`]. Changes stay in memory until [`Domain::save`]; new and retired keys
//! are saved at once.

mod ca;
pub mod cli;
pub mod domain;
pub mod enrol;
mod keys;
pub mod qr;
mod remedy;
pub mod share;
mod store;
pub mod update;

pub use ca::Ca;
pub use domain::{Domain, DomainError, Server, Settings, User};
