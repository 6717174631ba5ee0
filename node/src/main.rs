//! `crs-node`: reads the command line and runs one of the commands.

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use crs_node::cli::{Cli, Command};
use crs_node::load::Loader;
use crs_node::run::{self, EXIT_CONFIG};
use crs_node::{check, config, ports};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match &cli.command {
        Some(Command::Check { output }) => run_check(&cli, *output),
        Some(Command::Ports { output }) => run_ports(&cli, *output),
        Some(Command::Reference) => print(&config::reference()),
        Some(Command::RelayBench(options)) => run_relay_bench(options),
        Some(Command::Run) | None => run::run(&cli),
    }
}

/// On loopback only; ends with standard input.
fn run_relay_bench(options: &crs_node::cli::RelayBench) -> ExitCode {
    let options = crs_relay::bench::BenchOptions {
        address: (std::net::Ipv4Addr::LOCALHOST, 0).into(),
        calls: options.calls,
        cpu: options.cpu,
        batch: options.batch,
        offload: options.offload,
    };
    let (input, output) = (std::io::stdin().lock(), std::io::stdout());
    match crs_relay::bench::serve(&options, input, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crs-node relay-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_check(cli: &Cli, output: crs_node::cli::CheckOutput) -> ExitCode {
    let checked = check::check(&Loader::new(&cli.files));
    let code = print(&checked.render(output));
    if checked.ok() { code } else { ExitCode::from(EXIT_CONFIG) }
}

fn run_ports(cli: &Cli, output: crs_node::cli::PortsOutput) -> ExitCode {
    match Loader::new(&cli.files).load_or_defaults() {
        Ok((config, defaults)) => {
            if defaults {
                eprintln!("there is no {}; these are the defaults", cli.files.config.display());
            }
            print(&ports::print(&ports::ports(&config), output))
        }
        Err(problems) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            ExitCode::from(EXIT_CONFIG)
        }
    }
}

/// Whoever closes the pipe (`| head`) has seen enough: that is no failure.
fn print(text: &str) -> ExitCode {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crs-node: standard output cannot be written: {error}");
            ExitCode::FAILURE
        }
    }
}
