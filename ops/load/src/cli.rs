//! The command line: one subcommand per kind of load.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::relay;

/// Loads a rendezvous server and says what it took.
///
/// With --spawn 1 a node is started in a fresh folder, loaded and stopped again; without it a
/// running node is loaded. The last line of standard output is the result: a sentence, or with
/// --json one object.
#[derive(Debug, Parser)]
#[command(name = "crs-load", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Kinds of load.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Media packets through the relay, against a bare forwarder
    #[command(after_help = "Example:\n  crs-load relay --spawn 1 --json")]
    Relay(relay::Args),
}

/// Options of every kind.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Start this many nodes in a fresh folder and stop them at the end (only 1 so far)
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub spawn: u8,
    /// The running node's client address, without --spawn
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "spawn")]
    pub server: Option<String>,
    /// The domain folder of crs-cms whose users attach, without --spawn
    #[arg(long, value_name = "DIR", required_unless_present = "spawn")]
    pub domain: Option<PathBuf>,
    /// Process id of the running node, to measure its memory and CPU time
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// Folder of crs-node, crs-cli and crs-cms [default: beside crs-load]
    #[arg(long, value_name = "DIR")]
    pub bin_dir: Option<PathBuf>,
    /// Seed of everything that is drawn
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Print one JSON object on the last line of standard output
    #[arg(long)]
    pub json: bool,
    /// Keep the folder of the started node
    #[arg(long)]
    pub keep: bool,
}

/// Runs a command.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let (json, report) = match cli.command {
        Command::Relay(args) => (args.common.json, relay::run(&args)?),
    };
    crate::common::report::print(&report, json);
    Ok(ExitCode::SUCCESS)
}
