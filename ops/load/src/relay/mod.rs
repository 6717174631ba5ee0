//! `crs-load relay`: media packets through the relay against a bare forwarder.
//!
//! The relay's data plane runs in a `crs-node relay-bench` process and the floor in a process of
//! this program, both pinned to one CPU and never loaded at the same time; the sender has another.
//! Sides alternate; every run is judged by what the kernel says the pinned thread had of its core.

mod child;
mod clients;
pub mod floor;
mod measure;
mod summary;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};

use self::child::Forwarder;
use self::clients::Clients;
use self::measure::{Offer, Run, run as measure_run};
use self::summary::{Report, Row, Side};
use crate::cli::Common;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Options of every kind.
    #[command(flatten)]
    pub common: Common,
    /// Calls of two legs each
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub calls: usize,
    /// Valid runs of each side and load; up to four times as many are tried
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub runs: usize,
    /// Length of a run in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub time: u64,
    /// CPU of the relay and of the floor [default: the last one]
    #[arg(long, value_name = "CPU")]
    pub cpu: Option<usize>,
    /// Let the kernel join and cut packets on both sides
    #[arg(long)]
    pub offload: bool,
    /// Messages per system call of both sides
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub batch: usize,
    /// Print every run on standard error, thrown away or not
    #[arg(long)]
    pub verbose: bool,
    /// Program to start instead of `crs-node relay-bench`
    #[arg(long, hide = true)]
    pub relay_program: Option<PathBuf>,
}

/// Runs tried for each that is wanted: others may use the machine.
const TRIES: usize = 4;
/// Floods that tell the floor's limit.
const CALIBRATION: usize = 3;

/// Both sides, started and bound.
struct Bench {
    relay: (Forwarder, Clients),
    floor: (Forwarder, Clients),
    time: Duration,
    progress: ProgressBar,
    verbose: bool,
}

/// Runs the load; the result becomes the last line of standard output.
pub fn run(args: &Args) -> anyhow::Result<serde_json::Value> {
    anyhow::ensure!(
        args.common.spawn == 1,
        "a running node's relay cannot be compared with a floor: give --spawn 1"
    );
    let cpus = crs_udp::thread::allowed_cpus()?;
    let cpu = args.cpu.or(cpus.last().copied()).context("find a CPU for the relay")?;
    let own = cpus.iter().copied().find(|other| *other != cpu).unwrap_or(cpu);
    crs_udp::thread::pin_to(own)?;
    let mut bench = Bench::start(args, cpu)?;
    let limit = bench.limit()?;
    let loads = [
        ("50%", Offer::Paced(limit * 0.5)),
        ("80%", Offer::Paced(limit * 0.8)),
        ("flood", Offer::Flood),
    ];
    let mut sides: [[Side; 2]; 3] = Default::default();
    for round in 0..args.runs * TRIES {
        for ((_, offer), pair) in loads.iter().zip(&mut sides) {
            if pair.iter().any(|side| side.valid.len() < args.runs) {
                bench.round(*offer, round % 2 == 1, pair)?;
            }
        }
    }
    bench.progress.finish_and_clear();
    let rows = loads.iter().zip(&sides);
    let rows = rows.map(|((load, _), [relay, floor])| Row::new(load, relay, floor)).collect();
    Ok(serde_json::to_value(Report::new(rows, args.calls, [cpu, own]))?)
}

impl Bench {
    fn start(args: &Args, cpu: usize) -> anyhow::Result<Self> {
        let relay = Forwarder::start(relay_command(args, cpu)?)?;
        let mut relay_clients = Clients::new(args.calls, relay.address)?;
        relay_clients.bind(&relay.legs)?;
        let floor = Forwarder::start(floor_command(args, cpu)?)?;
        let floor_clients = Clients::new(args.calls, floor.address)?;
        // The calibration, then three loads on two sides.
        let steps = (CALIBRATION + args.runs * 6) as u64;
        let progress = ProgressBar::new(steps);
        progress.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} runs {msg}")?);
        Ok(Self {
            relay: (relay, relay_clients),
            floor: (floor, floor_clients),
            time: Duration::from_millis(args.time.max(100)),
            progress,
            verbose: args.verbose,
        })
    }

    /// The floor's limit: the median of three valid floods, or of all when there are none.
    fn limit(&mut self) -> anyhow::Result<f64> {
        let (mut valid, mut all) = (Vec::new(), Vec::new());
        while valid.len() < CALIBRATION && all.len() < CALIBRATION * TRIES {
            let (forwarder, clients) = &mut self.floor;
            let run = measure_run(forwarder, clients, Offer::Flood, self.time)?;
            all.push(run.pps);
            if run.valid(Offer::Flood) {
                valid.push(run.pps);
            }
            self.progress.inc(1);
        }
        let mut found = if valid.is_empty() { all } else { valid };
        found.sort_by(f64::total_cmp);
        found.get(found.len() / 2).copied().context("find the floor's limit")
    }

    /// One run of each side, the floor first unless `swapped`.
    fn round(&mut self, offer: Offer, swapped: bool, sides: &mut [Side; 2]) -> anyhow::Result<()> {
        let [of_relay, of_floor] = sides;
        let mut order = [(&mut self.floor, of_floor), (&mut self.relay, of_relay)];
        if swapped {
            order.reverse();
        }
        for ((forwarder, clients), side) in order {
            let run: Run = measure_run(forwarder, clients, offer, self.time)?;
            if self.verbose {
                let name = if forwarder.legs.is_empty() { "floor" } else { "relay" };
                self.progress.suspend(|| eprintln!("{name} {offer:?} {run:?}"));
            }
            if run.valid(offer) {
                side.valid.push(run);
            } else {
                side.discarded += 1;
            }
            self.progress.inc(1);
        }
        Ok(())
    }
}

fn relay_command(args: &Args, cpu: usize) -> anyhow::Result<Command> {
    let mut command = match &args.relay_program {
        Some(program) => {
            let mut command = Command::new(program);
            command.args([args.calls.to_string(), cpu.to_string(), args.batch.to_string()]);
            if args.offload {
                command.arg("offload");
            }
            return Ok(command);
        }
        None => Command::new(node_program(args)?),
    };
    command.arg("relay-bench");
    command.args(["--calls", &args.calls.to_string(), "--cpu", &cpu.to_string()]);
    command.args(["--batch", &args.batch.to_string()]);
    if args.offload {
        command.arg("--offload");
    }
    Ok(command)
}

fn floor_command(args: &Args, cpu: usize) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("find this program")?);
    command.args(["relay-floor", "--cpu", &cpu.to_string()]);
    command.args(["--batch", &args.batch.to_string()]);
    if args.offload {
        command.arg("--offload");
    }
    Ok(command)
}

/// `crs-node` in the folder given, or beside this program.
fn node_program(args: &Args) -> anyhow::Result<PathBuf> {
    if let Some(folder) = &args.common.bin_dir {
        return Ok(folder.join("crs-node"));
    }
    let own = std::env::current_exe().context("find this program")?;
    Ok(own.with_file_name("crs-node"))
}
