//! `crs-load`: measures a node from outside, with the floors it is compared with.

mod cli;
mod common;
mod relay;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match cli::run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("crs-load: {error:#}");
            ExitCode::from(1)
        }
    }
}
