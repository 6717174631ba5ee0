//! `crs-cli`: the operator's command. Parses the command line, asks the node over its Unix
//! socket, prints the answer; data to standard output, everything else to standard error.

mod args;
mod client;
mod completion;
mod output;
mod pre;
mod run;
mod usage;

use std::process::ExitCode;

use crs_admin_api::Exit;

fn main() -> ExitCode {
    let exit = match usage::parse(std::env::args_os()) {
        Ok(cli) => run::run(cli),
        Err(exit) => exit,
    };
    ExitCode::from(u8::from(exit))
}

/// A broken pipe (`crs-cli show attach | head`) ends the command without a word.
fn broken_pipe() -> Exit {
    Exit::Ok
}
