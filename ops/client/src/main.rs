//! `crs-client`: the terminal client.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = cli::Args::parse();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(cli::run(args));
            // A thread may still read the terminal; it must not keep the program alive.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            eprintln!("crs-client: cannot start: {error}");
            ExitCode::from(1)
        }
    }
}
