//! The life of a node: start in order, serve, reload, drain, stop in the reverse order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crs_ops::{
    BuildInfo, Health, HealthServer, LogConfig, Logging, Metrics, NotReady, NotifyHook,
    SystemEvent, log,
};
use crs_types::{Clock, SystemClock};

use crate::compose::{Base, Composed, Extras};
use crate::config::Config;
use crate::folder::DataFolder;
use crate::load::Loader;
use crate::reload::Reloader;
use crate::signals::{Asked, Signals};
use crate::{announce, systemd};

/// How long a drain waits for clients and calls to go elsewhere.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(120);
/// How long what is left may take to stop.
pub const LAST_WAIT: Duration = Duration::from_secs(20);
/// How often the node looks at itself (certificate, disk, leaders).
const LOOK_EVERY: Duration = Duration::from_secs(5);

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
        let mut node = Box::pin(Composed::start(&config, &base, environment.extras)).await?;
        let mut reloader = Reloader::new(
            environment.loader.clone(),
            config.clone(),
            node.context(),
            node.certificate(),
            node.relay(),
            logging.control(),
            &metrics,
        );
        health.clear(NotReady::Starting);
        notifier.notify(SystemEvent::NodeUp);
        announce::ready(&config, &environment, &node.addresses(metrics_addr), &folder);
        let outcome = run(&mut node, &mut signals, &mut reloader, &base).await;
        // A node that cannot go on waits for nobody.
        let deadline = if outcome.is_ok() { DRAIN_DEADLINE } else { Duration::ZERO };
        stop(node, deadline, &mut signals, &base).await;
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
    systemd::ready("serving");
    loop {
        tokio::select! {
            asked = signals.next() => match asked {
                Asked::Stop => return Ok(()),
                Asked::Reload => {
                    systemd::reloading();
                    // Reads a few small files: as short as the log line that tells of it.
                    reloader.reload();
                    systemd::ready("serving");
                }
            },
            why = node.failed() => {
                base.health.set(NotReady::StoreFailed, why.clone());
                anyhow::bail!(why);
            }
            _ = look.tick() => node.look(base),
            _ = watchdog.tick() => systemd::alive(),
        }
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
        closed = tokio::time::timeout(LAST_WAIT, node.close()) => if closed.is_err() {
            tracing::warn!(module = "node", "not everything stopped in time");
        },
        () = &mut alive => {}
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
    if let Some(parent) = paths.admin_socket.parent() {
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
    Ok(logging)
}

fn tell_folder(folder: &DataFolder) {
    for path in &folder.created {
        tracing::info!(target: log::INIT, module = "node", "created {}", path.display());
    }
}
