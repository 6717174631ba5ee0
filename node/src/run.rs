//! `crs-node run`: from the command line to a serving node and back to an exit code. Everything
//! that can be wrong with the configuration is told before any socket is bound.

use std::net::SocketAddr;
use std::process::ExitCode;

use crs_types::OsRng;

use crate::cli::{Cli, Files};
use crate::compose::Extras;
use crate::config::{Config, Problem};
use crate::load::Loader;
use crate::serve::{self, Environment};
use crate::{dev, machine, paste, process};

/// Wrong configuration (design.md §9).
pub const EXIT_CONFIG: u8 = 64;

/// Runs the node until it is stopped.
pub fn run(cli: &Cli) -> ExitCode {
    process::set_umask();
    let (files, config) = match configuration(cli) {
        Ok(found) => found,
        Err(problems) => return refuse(cli, &problems),
    };
    let loader = Loader::new(&files);
    let extras = Extras {
        open_files: process::raise_file_limit(),
        test_echo: cli.run.test_echo,
        commands: paste::commands(&config, &loader),
    };
    let environment = Environment {
        loader,
        clock_offset_ms: cli.run.clock_offset_ms,
        extras,
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
        Err(error) => fail(&told(&error)),
    }
}

fn configuration(cli: &Cli) -> Result<(Files, Config), Vec<Problem>> {
    let files = if cli.run.dev {
        dev::prepare(&cli.run, &cli.files, &mut OsRng)
            .map_err(|error| vec![Problem::of_start(&error.to_string())])?
    } else {
        cli.files.clone()
    };
    let loader = Loader::new(&files);
    let config = machine::load(&loader)?;
    for warning in &config.warnings {
        eprintln!("{warning}");
    }
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

fn refuse(cli: &Cli, problems: &[Problem]) -> ExitCode {
    for problem in problems {
        eprintln!("{problem}");
    }
    if cli.run.dev {
        eprintln!("the node does not start; see `crs-node run --help`");
    } else {
        let check = Loader::new(&cli.files).check_command();
        eprintln!(
            "the node does not start; `{check}` explains a configuration, `crs-node --dev` runs without any"
        );
    }
    ExitCode::from(EXIT_CONFIG)
}

/// An error with its reasons (which port, and why not), each once: some say themselves what is
/// behind them.
fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, why| {
        match (text.is_empty(), text.contains(&why)) {
            (true, _) => why,
            (false, true) => text,
            (false, false) => format!("{text}: {why}"),
        }
    })
}

fn fail(why: &str) -> ExitCode {
    eprintln!("crs-node: {why}");
    if let Some(remedy) = remedy(why) {
        eprintln!("    try: {remedy}");
    }
    ExitCode::FAILURE
}

/// What to do about the two ways in which a port is not to be had.
fn remedy(why: &str) -> Option<String> {
    let trimmed =
        |word: &str| word.trim_matches([':', ',', '\'']).trim_end_matches("/udp").to_owned();
    let mut words = why.split_whitespace().map(trimmed);
    let port = words.find_map(|word| word.parse::<SocketAddr>().ok())?.port();
    if why.contains("Address already in use") {
        return Some(format!("`ss -lnp 'sport = :{port}'` names the program that has the port"));
    }
    (why.contains("Permission denied") && port < 1024).then(|| {
        "ports below 1024 need CAP_NET_BIND_SERVICE, which crs.service grants, or root; or set another port \
         (`crs-node ports` lists all)"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::{remedy, told};

    #[test]
    fn a_port_that_is_not_to_be_had_has_its_remedy() {
        let taken =
            "relay: 'bind media address 127.0.0.1:146/udp: Address already in use (os error 98)'";
        assert!(remedy(taken).unwrap().starts_with("`ss -lnp 'sport = :146'`"));
        let denied = "cannot listen on 0.0.0.0:146: Permission denied (os error 13)";
        assert!(remedy(denied).unwrap().contains("CAP_NET_BIND_SERVICE"));
        assert_eq!(remedy("cannot listen on 0.0.0.0:5223: Permission denied"), None);
        assert_eq!(remedy("the disk is gone"), None);
    }

    #[test]
    fn a_failed_start_tells_every_reason_once() {
        let refused = Err::<(), _>(std::io::Error::other("no room"));
        let error = refused.context("making the folder").context("starting").unwrap_err();
        assert_eq!(told(&error), "starting: making the folder: no room");
        let twice = anyhow::Error::new(std::io::Error::other("no room")).context("cannot: no room");
        assert_eq!(told(&twice), "cannot: no room");
    }
}
