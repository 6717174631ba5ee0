//! The commands: one file each with its request, its reply and its columns, joined by one list.

pub mod apply;
pub mod blacklist_add;
pub mod blacklist_remove;
pub mod check_slot;
pub mod complete;
pub mod create_account;
pub mod delete_account;
pub mod doctor;
pub mod health_check;
pub mod list_account;
pub mod lookup_client;
pub mod purge_client;
pub mod purge_clients;
pub mod reload_account;
pub mod show_account;
pub mod show_attach;
pub mod show_blacklist;
pub mod show_message;
pub mod show_node;
pub mod show_relay;
pub mod show_relays;
pub mod show_services;
pub mod show_session;
pub mod show_system;
pub mod show_updates;
pub mod show_version;
pub mod trace;

mod parts;
#[cfg(test)]
pub(crate) mod samples;
mod table;

pub use parts::{ROWS_PER_PART, UnfittingPart};
pub use table::{COMMANDS, CommandInfo, Impact, Reply, Request};
