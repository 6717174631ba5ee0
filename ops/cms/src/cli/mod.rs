//! The command line: arguments, running them, printing results and errors.

mod args;
mod loadtest;
mod output;
mod run;

use std::process::ExitCode;

use clap::Parser;

use crate::DomainError;
use args::Args;

pub use args::command;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The domain refused.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// An argument or input file that clap cannot check.
    #[error("{message}")]
    Input {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: &'static str,
    },
}

impl CliError {
    fn code(&self) -> &'static str {
        match self {
            Self::Domain(error) => error.code(),
            Self::Input { .. } => "input",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Domain(error) => error.hint(),
            Self::Input { hint, .. } => hint,
        }
    }

    /// 1: the work could not be done; 2: the command was wrong.
    fn exit(&self) -> u8 {
        match self {
            Self::Domain(_) => 1,
            Self::Input { .. } => 2,
        }
    }
}

/// Parses the process's arguments, runs, prints, and says how it went: 0 done, 1 failed, 2 usage.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let output = args.output;
    match run::run(args) {
        Ok(report) => match output::print(&report, output) {
            Ok(()) => ExitCode::SUCCESS,
            // A closed pipe (`| head`) is the reader's wish, not a failure to report.
            Err(_) => ExitCode::from(1),
        },
        Err(error) => {
            output::print_error(
                &error.to_string(),
                error.code(),
                error.hint(),
                error.exit(),
                output,
            );
            ExitCode::from(error.exit())
        }
    }
}
