//! `crs-load storm`: all clients are cut at once and come back, against a node and against the
//! floor in the same run.

use std::time::Duration;

use anyhow::Context;
use crs_types::rng::SeededRng;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::cli::Common;
use crate::common::bed::Bed;
use crate::common::lean::{self, Lean};
use crate::common::process::{Tester, cpu_seconds, raise_file_limit_for};
use crate::common::progress;
use crate::common::report::HOUR_MS;
use crate::common::users::Users;
use crate::floor::Floor;
use crate::idle::{attach_all, round3};

/// Time limit of one try.
const TRY_WITHIN: Duration = Duration::from_secs(10);
/// A client gives up after this many tries.
const TRIES_MAX: u32 = 10;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Options of every kind.
    #[command(flatten)]
    pub common: Common,
    /// How many clients
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub clients: usize,
    /// Each try is made after a pause drawn evenly from this range (milliseconds)
    #[arg(long, value_name = "MS", default_value_t = 5000)]
    pub jitter_ms: u64,
}

struct Measured {
    attached: usize,
    max_tries: u32,
    seconds: f64,
    cpu_ms: f64,
    times: Histogram<u64>,
}

/// Runs the load.
pub async fn run(args: &Args) -> anyhow::Result<Value> {
    // The old and the new connection of a client may overlap for a moment.
    raise_file_limit_for(args.clients * 2, args.clients * 2, args.common.spawn > 0)?;
    let bed = Bed::make(&args.common, args.clients, &[]).await?;
    let pid = bed.pid().context("the server's CPU time needs --pid")?;
    let tester = Tester::start()?;
    let node = measure(args, &bed.users, &bed.server, pid, true).await?;
    let tester_cpu = tester.share()?;
    let floor = Floor::start(&bed.users, bed.folder()).await?;
    let address = floor.address.clone();
    let bare = measure(args, &floor.users, &address, floor.pid(), false).await?;
    floor.end().await?;
    bed.end().await?;
    Ok(json!({
        "load": "storm",
        "clients": args.clients,
        "attached": node.attached,
        "max_tries": node.max_tries,
        "seconds": round3(node.seconds),
        "p50_ms": node.times.value_at_quantile(0.5),
        "p99_ms": node.times.value_at_quantile(0.99),
        "cpu_ms_per_connect": round3(node.cpu_ms),
        "floor_attached": bare.attached,
        "floor_seconds": round3(bare.seconds),
        "floor_cpu_ms_per_connect": round3(bare.cpu_ms),
        "ratio": round3(node.cpu_ms / bare.cpu_ms),
        "jitter_ms": args.jitter_ms,
        "try_timeout_s": TRY_WITHIN.as_secs(),
        "seed": args.common.seed,
        "tester_cpu": round3(tester_cpu),
        "valid": bare.attached == args.clients,
    }))
}

async fn measure(
    args: &Args,
    users: &Users,
    server: &str,
    pid: u32,
    attach: bool,
) -> anyhow::Result<Measured> {
    let (_, mut sockets) = attach_all(users, server, args.clients, 32, attach).await?;
    let mut rng = SeededRng::new(args.common.seed);
    let mut leans = Vec::with_capacity(args.clients);
    for (index, identity) in users.identities.iter().take(args.clients).enumerate() {
        let pauses: [u64; TRIES_MAX as usize] =
            std::array::from_fn(|_| rng.next_u64() % (args.jitter_ms + 1));
        leans.push((Lean::new(identity, server, index, attach)?, pauses));
    }
    sockets.shutdown().await;
    let cpu = cpu_seconds(pid)?;
    let tester = Tester::start()?;
    let bar = progress::bar(args.clients as u64, "come back");
    let mut coming: JoinSet<_> = JoinSet::new();
    for (lean, pauses) in leans {
        let attempt = move || {
            let lean = lean.clone();
            async move { lean.connect(TRY_WITHIN).await.ok() }
        };
        coming.spawn(come_back(pauses, attempt));
    }
    let mut measured = Measured {
        attached: 0,
        max_tries: 0,
        seconds: 0.0,
        cpu_ms: 0.0,
        times: Histogram::new_with_bounds(1, HOUR_MS, 3)?,
    };
    let mut back = JoinSet::new();
    while let Some(done) = coming.join_next().await {
        let (tries, socket) = done?;
        measured.max_tries = measured.max_tries.max(tries);
        if let Some(socket) = socket {
            measured.attached += 1;
            measured.times.saturating_record((tester.seconds() * 1000.0) as u64);
            back.spawn(lean::idle(socket));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    measured.seconds = tester.seconds();
    let count = measured.attached.max(1) as f64;
    measured.cpu_ms = (cpu_seconds(pid)? - cpu) * 1000.0 / count;
    back.shutdown().await;
    Ok(measured)
}

/// Tries until one succeeds or all are used up; how many it took, and what came of it.
async fn come_back<T, F: Future<Output = Option<T>>>(
    pauses: [u64; TRIES_MAX as usize],
    mut attempt: impl FnMut() -> F,
) -> (u32, Option<T>) {
    let mut tries = 0;
    for pause in pauses {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        tries += 1;
        if let Some(back) = attempt().await {
            return (tries, Some(back));
        }
    }
    (tries, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_never_gets_in_gives_up_and_is_counted_as_not_back() {
        let mut asked = 0;
        let refused = || {
            asked += 1;
            std::future::ready(None::<()>)
        };
        assert_eq!(come_back([0; TRIES_MAX as usize], refused).await, (TRIES_MAX, None));
        assert_eq!(asked, TRIES_MAX);
        let mut left = 3;
        let late = || {
            left -= 1;
            std::future::ready((left == 0).then_some("in"))
        };
        assert_eq!(come_back([0; TRIES_MAX as usize], late).await, (3, Some("in")));
    }
}
