//! `crs-node run`: from the command line to a serving node and back to an exit code. Everything
//! that can be wrong with the configuration is told before any socket is bound.

use std::process::ExitCode;

use crs_types::OsRng;

use crate::cli::{Cli, Files};
use crate::compose::Extras;
use crate::config::{Config, Problem};
use crate::load::Loader;
use crate::serve::{self, Environment};
use crate::{dev, process};

/// Wrong configuration (design.md §9).
pub const EXIT_CONFIG: u8 = 64;

/// Runs the node until it is stopped.
pub fn run(cli: &Cli) -> ExitCode {
    process::set_umask();
    let (files, config) = match configuration(cli) {
        Ok(found) => found,
        Err(problems) => return refuse(&problems),
    };
    for warning in &config.warnings {
        eprintln!("{warning}");
    }
    let environment = Environment {
        loader: Loader::new(&files),
        clock_offset_ms: cli.run.clock_offset_ms,
        extras: Extras { open_files: process::raise_file_limit(), test_echo: cli.run.test_echo },
        ready_json: cli.run.ready_json,
        folder: files.config.parent().map(std::path::Path::to_path_buf).unwrap_or_default(),
    };
    let runtime = match runtime(config.worker_threads) {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start threads: {error}")),
    };
    let outcome = runtime.block_on(Box::pin(serve::serve(config, environment)));
    // Blocking work that hangs (a dead disk) must not keep the process.
    runtime.shutdown_timeout(serve::LAST_WAIT);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

fn configuration(cli: &Cli) -> Result<(Files, Config), Vec<Problem>> {
    let files = if cli.run.dev {
        dev::prepare(&cli.run, &cli.files, &mut OsRng)
            .map_err(|error| vec![Problem::of_start(&error.to_string())])?
    } else {
        cli.files.clone()
    };
    let config = Loader::new(&files).load()?;
    process::check_user(config.user.as_deref()).map_err(|why| vec![Problem::of_start(&why)])?;
    Ok((files, config))
}

fn runtime(worker_threads: Option<usize>) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = worker_threads {
        builder.worker_threads(threads);
    }
    builder.enable_all().thread_name("crs-worker").build()
}

fn refuse(problems: &[Problem]) -> ExitCode {
    for problem in problems {
        eprintln!("{problem}");
    }
    eprintln!(
        "the node does not start; `crs-node check` explains a configuration, `crs-node --dev` runs without any"
    );
    ExitCode::from(EXIT_CONFIG)
}

fn fail(why: &str) -> ExitCode {
    eprintln!("crs-node: {why}");
    ExitCode::FAILURE
}
