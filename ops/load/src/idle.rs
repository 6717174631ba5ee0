//! `crs-load idle`: attached clients that do nothing.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::cli::Common;
use crate::common::bed::Bed;
use crate::common::lean::{self, Lean, Socket};
use crate::common::process::{Tester, cpu_seconds, pss_bytes, raise_file_limit_for};
use crate::common::progress;
use crate::common::users::Users;
use crate::floor::Floor;

/// Time limit of one connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Options of every kind.
    #[command(flatten)]
    pub common: Common,
    /// How many clients attach
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub clients: usize,
    /// Seconds between the last attach and the measurement
    #[arg(long, value_name = "S", default_value_t = 30)]
    pub settle: u64,
    /// Connections being made at once
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub ramp: usize,
    /// Leave the floor out
    #[arg(long)]
    pub no_floor: bool,
}

/// What one server took.
struct Measured {
    attached: usize,
    pss_per_client: f64,
    cpu_ms_per_connect: f64,
    seconds: f64,
    sockets: JoinSet<()>,
}

/// Runs the load.
pub async fn run(args: &Args) -> anyhow::Result<Value> {
    raise_file_limit_for(args.clients, args.clients, args.common.spawn > 0)?;
    let bed = Bed::make(&args.common, args.clients, &[]).await?;
    let tester = Tester::start()?;
    let pid = bed.pid().context("the server's memory needs --pid")?;
    let mut node = measure(args, &bed.users, &bed.server, pid, true).await?;
    let tester_cpu = tester.share()?;
    let (show_ms, shown) = show_attach(&bed).await?;
    node.sockets.shutdown().await;
    let mut floor_pss = Value::Null;
    let mut floor_cpu = Value::Null;
    if !args.no_floor {
        let floor = Floor::start(&bed.users, bed.folder()).await?;
        let address = floor.address.clone();
        let mut measured = measure(args, &floor.users, &address, floor.pid(), false).await?;
        measured.sockets.shutdown().await;
        floor_pss = json!(measured.pss_per_client.round());
        floor_cpu = json!(round3(measured.cpu_ms_per_connect));
        floor.end().await?;
    }
    bed.end().await?;
    Ok(json!({
        "load": "idle",
        "clients": args.clients,
        "attached": node.attached,
        "shown": shown,
        "pss_per_client_bytes": node.pss_per_client.round(),
        "floor_pss_per_client_bytes": floor_pss,
        "cpu_ms_per_connect": round3(node.cpu_ms_per_connect),
        "floor_cpu_ms_per_connect": floor_cpu,
        "show_attach_ms": show_ms,
        "attach_seconds": round3(node.seconds),
        "settle_seconds": args.settle,
        "seed": args.common.seed,
        "tester_cpu": round3(tester_cpu),
        // Memory does not depend on the tester's pace: valid when all attached.
        "valid": node.attached == args.clients,
    }))
}

async fn measure(
    args: &Args,
    users: &Users,
    server: &str,
    pid: u32,
    attach: bool,
) -> anyhow::Result<Measured> {
    let before = pss_bytes(pid)?;
    let cpu = cpu_seconds(pid)?;
    let tester = Tester::start()?;
    let (attached, sockets) = attach_all(users, server, args.clients, args.ramp, attach).await?;
    let seconds = tester.seconds();
    let used = cpu_seconds(pid)? - cpu;
    tokio::time::sleep(Duration::from_secs(args.settle)).await;
    let count = attached.max(1) as f64;
    let grown = pss_bytes(pid)?.saturating_sub(before) as f64;
    Ok(Measured {
        attached,
        pss_per_client: grown / count,
        cpu_ms_per_connect: used * 1000.0 / count,
        seconds,
        sockets,
    })
}

/// Attaches users in order, `ramp` at once; each then answers pings in a task of its own.
pub async fn attach_all(
    users: &Users,
    server: &str,
    clients: usize,
    ramp: usize,
    attach: bool,
) -> anyhow::Result<(usize, JoinSet<()>)> {
    let bar = progress::bar(clients as u64, if attach { "attach" } else { "floor" });
    let permits = Arc::new(Semaphore::new(ramp.max(1)));
    let mut connecting: JoinSet<anyhow::Result<Socket>> = JoinSet::new();
    for (index, identity) in users.identities.iter().take(clients).enumerate() {
        let lean = Lean::new(identity, server, index, attach)?;
        let permits = permits.clone();
        connecting.spawn(async move {
            let _permit = permits.acquire_owned().await?;
            lean.connect(CONNECT_WITHIN).await
        });
    }
    let mut sockets = JoinSet::new();
    let mut first_error = None;
    while let Some(done) = connecting.join_next().await {
        match done? {
            Ok(socket) => drop(sockets.spawn(lean::idle(socket))),
            Err(error) => first_error = first_error.or(Some(error)),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if let Some(error) = first_error {
        eprintln!(
            "crs-load: {} of {clients} did not attach, the first: {error:#}",
            clients - sockets.len()
        );
    }
    Ok((sockets.len(), sockets))
}

/// How long `crs-cli show attach` takes, and how many it shows.
async fn show_attach(bed: &Bed) -> anyhow::Result<(Value, Value)> {
    if bed.node.is_none() {
        return Ok((Value::Null, Value::Null));
    }
    let tester = Tester::start()?;
    let shown = bed.cli(&["--output", "tsv", "show", "attach"]).await?;
    let ms = tester.seconds() * 1000.0;
    let lines = shown.iter().filter(|byte| **byte == b'\n').count();
    Ok((json!(ms.round()), json!(lines.saturating_sub(1))))
}

/// Three digits are enough for anything measured here.
pub fn round3(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
