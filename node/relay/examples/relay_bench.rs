//! The data plane alone, as `crs-node relay-bench` runs it: `relay_bench <calls> <cpu> [<batch>] [offload]`.

use std::io::{stdin, stdout};

use crs_relay::bench::{BenchOptions, serve};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| words.get(at).map(|word| word.parse::<usize>()).transpose();
    let options = BenchOptions {
        address: "127.0.0.1:0".parse()?,
        calls: number(0)?.unwrap_or(32),
        cpu: number(1)?,
        batch: words.get(2).and_then(|word| word.parse().ok()).unwrap_or(64),
        offload: words.iter().any(|word| word == "offload"),
    };
    Ok(serve(&options, stdin().lock(), stdout())?)
}
