//! Options that every action takes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Where a node listens for its operator, unless `--socket` or `CRS_SOCKET` says otherwise.
pub(crate) const DEFAULT_SOCKET: &str = "/opt/crs/run/crs.sock";

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The node's admin socket
    #[arg(long, global = true, env = "CRS_SOCKET", default_value = DEFAULT_SOCKET, value_name = "PATH")]
    pub(crate) socket: PathBuf,
    /// Form of the output: a table for people, JSON or TSV for programs [default: table]
    #[arg(short = 'o', long, global = true, value_enum, value_name = "FORM")]
    pub(crate) output: Option<Output>,
    /// Leave out the line of headings
    #[arg(long, global = true)]
    pub(crate) no_header: bool,
    /// Also show the columns that are seldom needed
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Aligned columns
    Table,
    /// One JSON value
    Json,
    /// Tab-separated values
    Tsv,
}
