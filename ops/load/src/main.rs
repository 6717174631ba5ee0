//! The `crs-load` command.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match crs_load::cli::run(crs_load::cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("crs-load: {error:#}");
            ExitCode::from(1)
        }
    }
}
