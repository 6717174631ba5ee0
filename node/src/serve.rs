//! The life of a node: start in order, serve, reload, drain, stop in the reverse order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crs_ops::{
    BuildInfo, Health, HealthServer, LogConfig, Logging, Metrics, NotReady, NotifyHook,
    SystemEvent, log,
};
use crs_types::{Clock, SystemClock};
use tokio::task::JoinHandle;

use crate::compose::{Base, Composed, Extras};
use crate::config::Config;
use crate::folder::DataFolder;
use crate::load::Loader;
use crate::reload::{FilesRead, Reloader};
use crate::signals::{Asked, Signals};
use crate::{announce, systemd};

/// How long a drain waits for clients and calls to go elsewhere.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(120);
/// How long what is left may take to stop.
pub const LAST_WAIT: Duration = Duration::from_secs(20);
/// How often the node looks at itself (certificates, disk, leaders, accounts, clock).
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often it looks at the files of its configuration; a difference that is found twice is told.
const FILES_EVERY: Duration = Duration::from_secs(60);

/// What the process gives a node besides its configuration.
#[derive(Debug)]
pub struct Environment {
    /// Reads the configuration again.
    pub loader: Loader,
    /// Moves the clock, for tests.
    pub clock_offset_ms: i64,
    /// File limit and test switches.
    pub extras: Extras,
    /// Print the addresses as one JSON line.
    pub ready_json: bool,
    /// Folder of the configuration, for messages.
    pub folder: PathBuf,
}

/// Runs a node until it is asked to stop or can no longer go on.
pub async fn serve(config: Config, environment: Environment) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::with_offset_ms(environment.clock_offset_ms));
    let mut signals = Signals::new()?;
    let folder = open_folders(&config)?;
    let metrics = Metrics::new(&BuildInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        node: config.name.to_string(),
    });
    crs_ops::process::publish(&metrics);
    let logging = start_log(&config, &clock, &metrics)?;
    tell_folder(&folder);
    let health = Health::starting();
    let (hook, notifier) = NotifyHook::start(config.paths.scripts.join("notify.sh"), &metrics);
    let base = Base {
        clock,
        metrics: metrics.clone(),
        health: health.clone(),
        notifier: notifier.clone(),
    };

    let server = match config.listen.metrics {
        Some(addr) => Some(HealthServer::bind(addr).await?),
        None => None,
    };
    let metrics_addr = server.as_ref().map(HealthServer::local_addr);
    let server = server.map(|server| server.spawn(metrics.clone(), health.clone()));

    let outcome = async {
        let mut node =
            Box::pin(Composed::start(&config, &base, environment.extras.clone())).await?;
        let mut reloader = Reloader::new(
            environment.loader.clone(),
            config.clone(),
            node.context(),
            node.certificate(),
            node.relay(),
            logging.control(),
            &metrics,
        );
        node.secrets_are_in(reloader.secret_paths());
        node.without_effect(reloader.without_effect());
        // The first tap there is.
        logging.control().follow(node.trace_hub());
        health.clear(NotReady::Starting);
        notifier.notify(SystemEvent::NodeUp);
        announce::ready(&config, &environment, &node.addresses(metrics_addr), &folder);
        let outcome = run(&mut node, &mut signals, &mut reloader, &base).await;
        stop(node, drain_deadline(&outcome), &mut signals, &base).await;
        outcome
    }
    .await;

    notifier.notify(SystemEvent::NodeDown);
    hook.stop().await;
    if let Some(server) = server {
        server.stop().await;
    }
    if let Err(error) = &outcome {
        tracing::warn!(module = "node", "the node stops: {error:#}");
    }
    tracing::info!(target: log::INIT, module = "node", "stopped");
    drop(logging);
    drop(folder);
    outcome
}

/// Serves until asked to stop; an error means that the node cannot go on.
async fn run(
    node: &mut Composed,
    signals: &mut Signals,
    reloader: &mut Reloader,
    base: &Base,
) -> anyhow::Result<()> {
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut watchdog = tokio::time::interval(systemd::watchdog_interval().unwrap_or(LOOK_EVERY));
    let mut files = tokio::time::interval(FILES_EVERY);
    files.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut reading: Option<JoinHandle<FilesRead>> = None;
    systemd::ready("serving");
    loop {
        tokio::select! {
            asked = signals.next() => match asked {
                Asked::Stop => return Ok(()),
                Asked::Reload => {
                    systemd::reloading();
                    // Reads a few small files: as short as the log line that tells of it.
                    node.files_reloaded(base, reloader.reload().drift());
                    node.secrets_are_in(reloader.secret_paths());
                    node.without_effect(reloader.without_effect());
                    // What is being read may be older than that.
                    reading = None;
                    systemd::ready("serving");
                }
            },
            _ = files.tick(), if reading.is_none() => {
                reading = Some(tokio::task::spawn_blocking(reloader.reading()));
            }
            read = ended(&mut reading) => {
                reading = None;
                if let Some(read) = read {
                    node.files_looked_at(base, reloader.drift(&read));
                }
            }
            why = node.failed() => {
                base.health.set(NotReady::StoreFailed, why.clone());
                anyhow::bail!(why);
            }
            _ = look.tick() => node.look(base),
            _ = watchdog.tick() => systemd::alive(),
        }
    }
}

/// Waits for the files to be read; for ever when nobody reads. Cancel-safe.
async fn ended(reading: &mut Option<JoinHandle<FilesRead>>) -> Option<FilesRead> {
    match reading {
        // A reader that panicked has been told of by the panic hook.
        Some(handle) => handle.await.ok(),
        None => std::future::pending().await,
    }
}

/// Drains with a deadline, which a second signal cuts short, and stops what is left.
async fn stop(node: Composed, deadline: Duration, signals: &mut Signals, base: &Base) {
    base.health.set(NotReady::Draining, "the node is stopping");
    base.notifier.notify(SystemEvent::NodeDrain);
    systemd::stopping(deadline + LAST_WAIT);
    tracing::info!(module = "node", "draining");
    let alive = keep_alive();
    tokio::pin!(alive);
    tokio::select! {
        () = node.drain(deadline) => tracing::info!(module = "node", "drained"),
        () = stop_asked(signals) => tracing::warn!(module = "node", "asked again: not waiting for clients"),
        () = &mut alive => {}
    }
    tokio::select! {
        () = last_wait(Box::pin(node.close())) => {}
        () = &mut alive => {}
    }
}

/// How long the node waits for its clients; one that cannot go on waits for nobody.
fn drain_deadline(outcome: &anyhow::Result<()>) -> Duration {
    if outcome.is_ok() { DRAIN_DEADLINE } else { Duration::ZERO }
}

async fn last_wait(close: impl Future<Output = ()>) {
    if tokio::time::timeout(LAST_WAIT, close).await.is_err() {
        tracing::warn!(module = "node", "not everything stopped in time");
    }
}

/// Tells the service manager's watchdog that we live; never ends.
async fn keep_alive() {
    let mut tick = tokio::time::interval(systemd::watchdog_interval().unwrap_or(LOOK_EVERY));
    loop {
        tick.tick().await;
        systemd::alive();
    }
}

/// Ends at the next signal to stop; others do not matter any more.
async fn stop_asked(signals: &mut Signals) {
    while signals.next().await != Asked::Stop {}
}

fn open_folders(config: &Config) -> anyhow::Result<DataFolder> {
    let mut folder = DataFolder::open(&config.paths.data)?;
    let paths = &config.paths;
    for path in [&paths.accounts, &paths.log, &paths.backup] {
        folder.ensure_dir(path)?;
    }
    folder.ensure_dir(&paths.data.join(crate::compose::SCRATCH))?;
    let parent = paths.admin_socket.parent();
    if let Some(parent) = parent.filter(|parent| !parent.as_os_str().is_empty()) {
        folder.ensure_dir(parent)?;
    }
    Ok(folder)
}

fn start_log(
    config: &Config,
    clock: &Arc<dyn Clock>,
    metrics: &Metrics,
) -> anyhow::Result<Logging> {
    let settings = LogConfig {
        dir: config.paths.log.clone(),
        level: config.log.level,
        max_bytes: config.log.max_bytes,
        keep: config.log.keep,
        stderr: config.log.stderr,
    };
    let logging = Logging::start(&settings, Arc::clone(clock), metrics)?;
    // Fails only when a test has installed another one, which then gets the records.
    if tracing::dispatcher::set_global_default(logging.dispatch()).is_err() {
        eprintln!("crs-node: log records go to the dispatcher that is installed already");
    }
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::warn!(
            module = "node",
            place,
            "a part of the node panicked; its supervisor decides"
        );
        before(panic);
    }));
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(target: log::INIT, module = "node", "crs-node {version} starts as {}", config.name);
    for warning in &config.warnings {
        tracing::warn!(module = "config", "{warning}");
    }
    Ok(logging)
}

fn tell_folder(folder: &DataFolder) {
    for path in &folder.created {
        tracing::info!(target: log::INIT, module = "node", "created {}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn a_node_waits_two_minutes_for_its_calls_and_a_failed_one_for_nobody() {
        assert_eq!(drain_deadline(&Ok(())), DRAIN_DEADLINE);
        assert_eq!(drain_deadline(&Err(anyhow::anyhow!("the disk is gone"))), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_does_not_stop_is_waited_for_twenty_seconds() {
        let began = Instant::now();
        last_wait(std::future::pending()).await;
        assert_eq!(began.elapsed().as_secs(), LAST_WAIT.as_secs());
        last_wait(async {}).await;
        assert_eq!(began.elapsed().as_secs(), LAST_WAIT.as_secs());
    }
}
