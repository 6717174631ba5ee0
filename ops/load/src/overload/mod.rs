//! `crs-load overload`: what honest users feel while others flood the node, or ask for much and do
//! not read it.

mod flood;
mod honest;
mod speaker;
mod stalled;

use std::time::Duration;

use anyhow::bail;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use self::flood::Tally;
use self::honest::Honest;
use self::stalled::Stalled;
use crate::cli::Common;
use crate::common::bed::Bed;
use crate::common::process::{Tester, raise_file_limit_for};
use crate::common::progress;
use crate::idle::round3;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Options of every kind.
    #[command(flatten)]
    pub common: Common,
    /// Honest users; each posts twice a second to the next one
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(2..))]
    pub honest: u32,
    /// Posts per second that one user tries
    #[arg(long, value_name = "N", default_value_t = 5000)]
    pub flood: u32,
    /// Users that try 50 posts per second each, all to one honest user
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub crowd: u32,
    /// Users that ask for all they have been sent and stop reading
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub readers: u32,
    /// Rounds, each a quiet one and one in the flood
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub rounds: u32,
    /// Seconds of a round's halves
    #[arg(long, value_name = "S", default_value_t = 4)]
    pub seconds: u64,
}

impl Args {
    fn users(&self) -> usize {
        (self.honest + self.crowd + 1 + self.readers) as usize
    }
}

/// Runs the load.
pub async fn run(args: &Args) -> anyhow::Result<Value> {
    if args.rounds == 0 || args.seconds == 0 {
        bail!("at least one round of one second is needed");
    }
    raise_file_limit_for(args.users(), args.users(), args.common.spawn > 0)?;
    let bed = Bed::make(&args.common, args.users(), &[]).await?;
    let mut honest = Honest::attach(&bed, args.honest as usize).await?;
    let tester = Tester::start()?;
    let (mut quiet, mut flooded) = (honest::samples()?, honest::samples()?);
    let tally = rounds(args, &bed, &mut honest, &mut quiet, &mut flooded).await?;
    let stalled = stalled::run(args, &bed, &mut honest).await?;
    let tester_cpu = tester.share()?;
    let failed = honest.failed();
    bed.end().await?;
    Ok(summary(args, &quiet, &flooded, &tally, &stalled, failed, tester_cpu))
}

/// Quiet and flooded halves alternate, so that both see the same machine.
async fn rounds(
    args: &Args,
    bed: &Bed,
    honest: &mut Honest,
    quiet: &mut Histogram<u64>,
    flooded: &mut Histogram<u64>,
) -> anyhow::Result<Tally> {
    let half = Duration::from_secs(args.seconds);
    let bar = progress::bar(u64::from(args.rounds) * 2, "flood");
    let mut total = Tally::default();
    for _ in 0..args.rounds {
        honest.post_for(half, quiet).await?;
        bar.inc(1);
        let flood = flood::start(args, bed)?;
        honest.post_for(half, flooded).await?;
        total.add(&flood.stop().await);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(total)
}

fn summary(
    args: &Args,
    quiet: &Histogram<u64>,
    flooded: &Histogram<u64>,
    tally: &Tally,
    stalled: &Stalled,
    failed: u64,
    tester_cpu: f64,
) -> Value {
    let ms = |samples: &Histogram<u64>, q| round3(samples.value_at_quantile(q) as f64 / 1000.0);
    let ratio = |samples: &Histogram<u64>| round3(ms(samples, 0.99) / ms(quiet, 0.99).max(0.001));
    json!({
        "load": "overload",
        "honest": args.honest,
        "honest_posts": quiet.len() + flooded.len() + stalled.honest.len(),
        "honest_failed": failed,
        "quiet_p50_ms": ms(quiet, 0.5),
        "quiet_p99_ms": ms(quiet, 0.99),
        "flood_p50_ms": ms(flooded, 0.5),
        "flood_p99_ms": ms(flooded, 0.99),
        "flood_ratio": ratio(flooded),
        "flood_offered": tally.offered,
        "flood_accepted": tally.accepted,
        "flood_refused": tally.refused,
        "flood_refused_without_retry": tally.without_retry,
        "flood_cut": tally.cut,
        "flood_kept_out": tally.kept_out,
        "readers": args.readers,
        "readers_cut": stalled.cut,
        "stalled_p50_ms": ms(&stalled.honest, 0.5),
        "stalled_p99_ms": ms(&stalled.honest, 0.99),
        "stalled_ratio": ratio(&stalled.honest),
        "stalled_growth_per_reader_bytes": stalled.growth.map(|bytes| bytes / u64::from(args.readers.max(1))),
        "seed": args.common.seed,
        "tester_cpu": round3(tester_cpu),
        "valid": tester_cpu < 0.8 && tally.offered > 0,
    })
}
