//! `crs-node` with a deliberate bug, for scripts/crash-disk --prove: `CRS_PLANTED_BUG` names it.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    crs_node::run::run(&crs_node::cli::Cli::parse())
}
