//! The command line: arguments, running them, printing results and errors.

mod args;
mod ca;
mod loadtest;
mod output;
mod run;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use crs_types::shell;

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

    fn hint(&self) -> String {
        match self {
            Self::Domain(error) => error.hint(),
            Self::Input { hint, .. } => (*hint).to_owned(),
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

const PROGRAM: &str = "crs-cms";

/// What has to stand behind `crs-cms` so that it works on this domain.
fn dir_option(dir: &Path) -> String {
    if dir == Path::new(".") {
        return String::new();
    }
    format!("--dir {}", shell::word(&dir.display().to_string()))
}

/// A command for this domain, to be pasted.
fn here(dir: &Path, words: &str) -> String {
    shell::with_options(&format!("{PROGRAM} {words}"), PROGRAM, &dir_option(dir))
}

/// Parses the process's arguments, runs, prints, and says how it went: 0 done, 1 failed, 2 usage.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let (output, dir) = (args.output, args.dir.clone());
    match run::run(args) {
        Ok(report) => match output::print(&report, output) {
            Ok(()) => ExitCode::SUCCESS,
            // A closed pipe (`| head`) is the reader's wish, not a failure.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("crs-cms: standard output cannot be written: {error}");
                ExitCode::from(1)
            }
        },
        Err(error) => {
            let hint = shell::hint_with_options(&error.hint(), PROGRAM, &dir_option(&dir));
            let (code, exit) = (error.code(), error.exit());
            output::print_error(&error.to_string(), code, &hint, exit, output);
            ExitCode::from(exit)
        }
    }
}
