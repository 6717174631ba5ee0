//! The command line of `crs-node`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Where the settings of the pool are unless `--config` says otherwise (C-057).
pub const DEFAULT_CONFIG: &str = "/opt/crs/crs.conf";

/// Runs one node of a rendezvous server.
#[derive(Debug, Parser)]
#[command(
    name = "crs-node",
    version,
    args_conflicts_with_subcommands = false,
    after_help = "Examples:\n  \
        crs-node --dev\n  \
        crs-node check\n  \
        crs-node --config /opt/crs/crs.conf\n\n\
        Exit codes: 0 = stopped as asked, 1 = failed, 2 = the command line is wrong, 64 = the configuration is wrong."
)]
pub struct Cli {
    /// What to do; without it the node runs.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Files and settings.
    #[command(flatten)]
    pub files: Files,
    /// How to run.
    #[command(flatten)]
    pub run: Run,
}

/// Commands besides running.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the node (the same as no command)
    #[command(
        after_help = "Examples:\n  crs-node run\n  crs-node run --config /opt/crs/crs.conf\n  crs-node run --dev --data ./try --port-base 9000"
    )]
    Run,
    /// Explains every problem of the configuration; opens no port, store or log
    #[command(
        after_help = "Examples:\n  crs-node check\n  crs-node check --config ./crs.conf --output json\n  crs-node check --set 'log-level debug'"
    )]
    Check {
        /// How to print
        #[arg(long, value_enum, default_value_t = CheckOutput::Text)]
        output: CheckOutput,
    },
    /// Prints every port, protocol, direction and purpose of the configuration
    #[command(
        after_help = "Examples:\n  crs-node ports\n  crs-node ports --output ufw\n  crs-node ports --config ./crs.conf --output json"
    )]
    Ports {
        /// How to print: for people, programs or a firewall
        #[arg(long, value_enum, default_value_t = PortsOutput::Table)]
        output: PortsOutput,
    },
    /// Prints the configuration reference as Markdown
    #[command(hide = true, after_help = "Examples:\n  crs-node reference")]
    Reference,
    /// Runs the relay's data plane alone, for `crs-load relay`
    #[command(hide = true, after_help = "Examples:\n  crs-node relay-bench --calls 32")]
    RelayBench(RelayBench),
}

/// Options of `relay-bench`.
#[derive(Debug, Clone, Args)]
pub struct RelayBench {
    /// Calls of two legs
    #[arg(long, default_value_t = 32)]
    pub calls: usize,
    /// CPU of the relay thread
    #[arg(long)]
    pub cpu: Option<usize>,
    /// Messages per system call
    #[arg(long, default_value_t = 64)]
    pub batch: usize,
    /// Let the kernel join and cut packets
    #[arg(long)]
    pub offload: bool,
}

/// Formats of `check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckOutput {
    /// One line for each problem
    Text,
    /// One JSON object
    Json,
}

/// Formats of `ports`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PortsOutput {
    /// For people
    Table,
    /// One JSON array
    Json,
    /// Tab-separated
    Tsv,
    /// An nftables ruleset
    Nft,
    /// ufw commands
    Ufw,
    /// A firewalld service definition
    Firewalld,
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Args)]
pub struct Files {
    /// Settings of the pool
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// Settings of this node [default: crs-local.conf beside --config]
    #[arg(long, global = true, value_name = "FILE")]
    pub local_config: Option<PathBuf>,
    /// Limits of the media relay [default: crs-relay.conf beside --config]
    #[arg(long, global = true, value_name = "FILE")]
    pub relay_config: Option<PathBuf>,
    /// Data folder, in place of the configured one
    #[arg(long, global = true, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// One directive of crs-local.conf, in place of the file's; may be repeated
    #[arg(long = "set", global = true, value_name = "DIRECTIVE")]
    pub set: Vec<String>,
    /// Unknown directives are warnings
    #[arg(long, global = true)]
    pub lenient: bool,
}

/// How to run.
#[derive(Debug, Clone, Args)]
pub struct Run {
    /// Runs for trying out: on loopback, with generated keys and files in ./crs-dev (or --data)
    #[arg(long, global = true)]
    pub dev: bool,
    /// Loopback address for --dev
    #[arg(long, global = true, value_name = "IP", requires = "dev")]
    pub bind: Option<IpAddr>,
    /// First of the ports for --dev; without it free ones are taken
    #[arg(long, global = true, value_name = "PORT", requires = "dev")]
    pub port_base: Option<u16>,
    /// Moves the clock, for tests
    #[arg(
        long,
        hide = true,
        global = true,
        default_value_t = 0,
        allow_negative_numbers = true,
        env = "CRS_CLOCK_OFFSET_MS"
    )]
    pub clock_offset_ms: i64,
    /// Offers the WebSocket echo of conformance tests
    #[arg(long, hide = true, global = true)]
    pub test_echo: bool,
    /// Prints one JSON line with the addresses once the node serves
    #[arg(long, hide = true, global = true)]
    pub ready_json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use crs_types::shell;

    use super::*;

    #[test]
    fn every_page_of_help_has_examples_and_they_are_understood() {
        fn check(page: &clap::Command) {
            let help = page.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = shell::examples(&help, "crs-node");
            assert!(!examples.is_empty(), "{} has no examples", page.get_name());
            for words in examples {
                let parsed = Cli::command().try_get_matches_from(&words);
                assert!(parsed.is_ok(), "{words:?}: {}", parsed.unwrap_err());
            }
            page.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn the_command_line_is_consistent_and_run_may_be_said() {
        Cli::command().debug_assert();
        for words in
            [&["--dev", "--port-base", "9000"][..], &["run", "--dev", "--port-base", "9000"]]
        {
            let cli = Cli::parse_from([&["crs-node"], words].concat());
            assert!(cli.run.dev && cli.run.port_base == Some(9000), "{words:?}");
        }
        assert!(Cli::try_parse_from(["crs-node", "--bind", "127.0.0.1"]).is_err());
    }
}
