//! The command line: one subcommand per kind of load.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Parser, Subcommand};
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{calls, floor, idle, messages, overload, relay, storm};

/// Loads a rendezvous server and says what it took.
///
/// With --spawn 1 a node is started in a fresh folder, loaded and stopped again; without it a
/// running node is loaded. The last line of standard output is the result; with --json it is one
/// object. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the run is not valid (the tester was
/// the limit, or too little happened).
#[derive(Debug, Parser)]
#[command(
    name = "crs-load",
    version,
    after_help = "Examples:\n  crs-load messages --spawn 1 --json\n  crs-load idle --spawn 1 --clients 10000 --json\n  crs-load calls --spawn 1 --calls 20 --json"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Kinds of load.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Attached clients that do nothing: memory and CPU time for each
    #[command(after_help = "Examples:\n  crs-load idle --spawn 1 --clients 10000 --json")]
    Idle(idle::Args),
    /// All clients cut at once and coming back
    #[command(after_help = "Examples:\n  crs-load storm --spawn 1 --clients 5000 --json")]
    Storm(storm::Args),
    /// Messages, with a ledger of what was confirmed and what arrived
    #[command(
        after_help = "Examples:\n  crs-load messages --spawn 1 --json\n  crs-load messages --spawn 1 --rate 200 --kill9 20 --json"
    )]
    Messages(messages::Args),
    /// Calls with media through the relay
    #[command(after_help = "Examples:\n  crs-load calls --spawn 1 --calls 20 --json")]
    Calls(calls::Args),
    /// Media packets through the relay, against a bare forwarder
    #[command(after_help = "Examples:\n  crs-load relay --spawn 1 --json")]
    Relay(relay::Args),
    /// Honest users beside some that flood, and some that do not read
    #[command(after_help = "Examples:\n  crs-load overload --spawn 1 --readers 1000 --json")]
    Overload(overload::Args),
    /// The bare forwarder, started by `relay`
    #[command(hide = true, after_help = "Examples:\n  crs-load relay-floor")]
    RelayFloor(relay::floor::FloorArgs),
    /// A bare server, the floor of idle and storm
    #[command(hide = true, after_help = "Examples:\n  crs-load floor-server ./files")]
    FloorServer(floor::Args),
}

/// Options of every kind.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Start this many nodes in a fresh folder and stop them at the end (only 1 so far)
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub spawn: u8,
    /// The running node's client address, without --spawn
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "spawn")]
    pub server: Option<String>,
    /// The domain folder of crs-cms whose users attach, without --spawn
    #[arg(long, value_name = "DIR", conflicts_with = "spawn")]
    pub domain: Option<PathBuf>,
    /// Process id of the running node, to measure its memory and CPU time
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// Data folder of the started node, e.g. on a disk that forgets [default: in a fresh folder]
    #[arg(long, value_name = "DIR", requires = "spawn")]
    pub data_dir: Option<PathBuf>,
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

/// Exit code of a run that says nothing.
const NOT_VALID: u8 = 3;

/// Runs a command.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let (json, report) = match cli.command {
        Command::FloorServer(args) => {
            runtime()?.block_on(floor::serve(args))?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::Idle(args) => (args.common.json, finish(idle::run(&args))?),
        Command::Storm(args) => (args.common.json, finish(storm::run(&args))?),
        Command::Messages(args) => (args.common.json, finish(messages::run(&args))?),
        Command::Calls(args) => (args.common.json, finish(calls::run(&args))?),
        Command::Relay(args) => (args.common.json, relay::run(&args)?),
        Command::Overload(args) => (args.common.json, finish(overload::run(&args))?),
        Command::RelayFloor(args) => {
            relay::floor::serve(&args)?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    crate::common::report::print(&report, json);
    let valid = report.get("valid").and_then(Value::as_bool).unwrap_or(true);
    Ok(if valid { ExitCode::SUCCESS } else { ExitCode::from(NOT_VALID) })
}

/// Runs a load to its end or to the signal that stops it. Everything that it had started ends
/// with it: dropping the load kills its processes and removes its folder.
fn finish(load: impl Future<Output = anyhow::Result<Value>>) -> anyhow::Result<Value> {
    runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        tokio::select! {
            report = load => report,
            name = signals.next() => {
                bail!("stopped by {name}: no result; what this run had started is stopped, too")
            }
        }
    })
}

/// The signals that ask a program to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use crs_types::shell;

    use super::*;

    #[test]
    fn every_page_of_help_has_examples_and_they_are_understood() {
        Cli::command().debug_assert();
        fn check(page: &clap::Command) {
            let help = page.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = shell::examples(&help, "crs-load");
            assert!(!examples.is_empty(), "{} has no examples", page.get_name());
            for words in examples {
                let parsed = Cli::command().try_get_matches_from(&words);
                assert!(parsed.is_ok(), "{words:?}: {}", parsed.unwrap_err());
            }
            page.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
