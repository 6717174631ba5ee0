//! `crs-load calls`: calls with media through the relay, in pairs, all at once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use crs_client::media::Codec;
use crs_client::media::wav::Audio;
use crs_client::{CallMedia, CallReport, Client, Event, Identity, Options};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::cli::Common;
use crate::common::bed::Bed;
use crate::common::process::{Tester, cpu_seconds, raise_file_limit_for};
use crate::common::progress;
use crate::common::report::HOUR_MS;
use crate::idle::round3;

const ATTACH_WITHIN: Duration = Duration::from_secs(60);
const RING_WITHIN: Duration = Duration::from_secs(60);

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Options of every kind.
    #[command(flatten)]
    pub common: Common,
    /// Calls at once
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub calls: usize,
    /// Seconds that each call lasts
    #[arg(long, value_name = "S", default_value_t = 10)]
    pub seconds: u64,
    /// Milliseconds between one call's start and the next
    #[arg(long, value_name = "MS", default_value_t = 100)]
    pub every_ms: u64,
}

/// Runs the load.
pub async fn run(args: &Args) -> anyhow::Result<Value> {
    // A connection and a media socket each.
    raise_file_limit_for(args.calls * 4, args.calls * 2, args.common.spawn > 0)?;
    let settings = ["rate-limit invite 6000".to_owned(), "rate-limit lookup 6000".to_owned()];
    let bed = Bed::make(&args.common, args.calls * 2, &settings).await?;
    let tone = bed.folder().join("tone.wav");
    let length = u32::try_from(args.seconds * 1000).context("--seconds is too large")?;
    Audio::tone(Codec::Mulaw, 440.0, length).write(&tone)?;
    let mut clients = Vec::new();
    for identity in bed.users.identities.iter().take(args.calls * 2) {
        clients.push(Arc::new(attach(identity).await?));
    }
    let cpu = bed.pid().map(cpu_seconds).transpose()?;
    let tester = Tester::start()?;
    let reports = all_calls(args, &clients, &bed, &tone).await?;
    let tester_cpu = tester.share()?;
    let server_cpu = match (bed.pid(), cpu) {
        (Some(pid), Some(before)) => json!(round3(cpu_seconds(pid)? - before)),
        _ => Value::Null,
    };
    for client in clients {
        if let Ok(client) = Arc::try_unwrap(client) {
            client.close().await;
        }
    }
    bed.end().await?;
    summary(args, &reports, server_cpu, tester_cpu)
}

async fn attach(identity: &Identity) -> anyhow::Result<Client> {
    let options = Options { backoff_cap: Duration::from_secs(1), ..Options::default() };
    let client = Client::with_identity(identity.clone(), options).await?;
    client.wait_attached(ATTACH_WITHIN).await?;
    Ok(client)
}

async fn all_calls(
    args: &Args,
    clients: &[Arc<Client>],
    bed: &Bed,
    tone: &Path,
) -> anyhow::Result<Vec<Result<CallReport, String>>> {
    let bar = progress::bar(args.calls as u64 * 2, "calls");
    let mut tasks: JoinSet<Result<CallReport, String>> = JoinSet::new();
    for (index, pair) in clients.chunks_exact(2).enumerate() {
        let (caller, callee) = (pair[0].clone(), pair[1].clone());
        let to = bed.users.identities[index * 2 + 1].uri.clone();
        let media = media(tone);
        let pause = Duration::from_millis(args.every_ms) * u32::try_from(index)?;
        tasks.spawn(answer(callee, media.clone()));
        tasks.spawn(async move {
            tokio::time::sleep(pause).await;
            // The keys of the month are fetched right after the first attach.
            ready(&caller).await;
            caller.call(&to, media).await.map_err(|e| e.to_string())
        });
    }
    let mut reports = Vec::new();
    while let Some(done) = tasks.join_next().await {
        reports.push(done?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(reports)
}

/// Waits for this month's keys, at most a few seconds.
pub async fn ready(client: &Client) {
    let updated = async {
        while let Some(event) = client.next_event().await {
            if matches!(event, Event::Updated { .. }) {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(5), updated).await;
}

async fn answer(client: Arc<Client>, media: CallMedia) -> Result<CallReport, String> {
    let ring = async {
        while let Some(event) = client.next_event().await {
            if let Event::Incoming(call) = event {
                return Some(call.session);
            }
        }
        None
    };
    match tokio::time::timeout(RING_WITHIN, ring).await {
        Ok(Some(session)) => client.answer(session, media).await.map_err(|e| e.to_string()),
        Ok(None) | Err(_) => Err("no call came".to_owned()),
    }
}

fn media(tone: &Path) -> CallMedia {
    let file: PathBuf = tone.to_owned();
    CallMedia { play: Some(file.clone()), expect: Some(file), ..CallMedia::default() }
}

fn summary(
    args: &Args,
    reports: &[Result<CallReport, String>],
    server_cpu: Value,
    tester_cpu: f64,
) -> anyhow::Result<Value> {
    let good: Vec<&CallReport> = reports.iter().filter_map(|r| r.as_ref().ok()).collect();
    let answered: Vec<_> = good.iter().filter(|report| report.answered).collect();
    let mut setup = Histogram::<u64>::new_with_bounds(1, HOUR_MS, 3)?;
    let mut jitter: f64 = 0.0;
    for report in &answered {
        // Only the caller's side waits for an answer.
        if report.caller {
            setup.saturating_record(report.setup_ms);
        }
        jitter = jitter.max(report.media.jitter_ms);
    }
    let sum = |field: fn(&CallReport) -> u64| answered.iter().map(|r| field(r)).sum::<u64>();
    let first_error = reports.iter().find_map(|r| r.as_ref().err().cloned());
    Ok(json!({
        "load": "calls",
        "calls": args.calls,
        "sides_answered": answered.len(),
        "setup_p50_ms": setup.value_at_quantile(0.5),
        "setup_p99_ms": setup.value_at_quantile(0.99),
        "setup_max_ms": setup.max(),
        "sent": sum(|r| r.media.sent),
        "received": sum(|r| r.media.received),
        "lost": sum(|r| r.media.lost),
        "identical": sum(|r| r.media.identical.unwrap_or(0)),
        "different": sum(|r| r.media.different.unwrap_or(0)),
        "rejected": sum(|r| r.media.rejected),
        "jitter_max_ms": round3(jitter),
        "error": first_error,
        "server_cpu_s": server_cpu,
        "seed": args.common.seed,
        "tester_cpu": round3(tester_cpu),
        "valid": tester_cpu < 0.8 && answered.len() == args.calls * 2,
    }))
}
