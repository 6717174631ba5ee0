//! The command line: `crs-cli action [options]` (C-155).

mod actions;
mod global;
mod show;
mod trace;

pub(crate) use actions::{
    Action, Apply, Blacklist, Check, Create, CreateAccount, Delete, Doctor, HealthCheck,
    HealthFormat, HealthWhat, List, Lookup, Purge, Reload, SharedSecret,
};
pub(crate) use global::{DEFAULT_SOCKET, Global, Output};
pub(crate) use show::Show;
pub(crate) use trace::{Trace, TraceElement};

use clap::Parser;

/// Manage accounts, see what the rendezvous server does, and find out what is wrong.
#[derive(Debug, Parser)]
#[command(
    name = "crs-cli",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    subcommand_required = true,
    subcommand_value_name = "ACTION",
    subcommand_help_heading = "Actions",
    after_help = "Examples:\n  \
        crs-cli create account police\n  \
        crs-cli show attach\n  \
        crs-cli show attach --output json\n  \
        crs-cli doctor\n\n\
        Exit codes: 0 = in order, 1 = error, 2 = the command line is wrong, 3 = warning."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) action: Action,
}
