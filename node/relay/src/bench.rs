//! The data plane alone, for `crs-load relay`: the same code as in a node, without the node.
//!
//! `crs-node relay-bench` calls [`serve`]. It writes to standard output, one line each:
//!
//! ```text
//! address 127.0.0.1:40000
//! thread 4242
//! leg <ufrag> <password>          two per call, caller's first
//! ready
//! ```
//!
//! and then answers each line `stats` with `stats <received> <forwarded> <dropped>` (packets since
//! the start) until standard input ends.

use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use crs_types::{Clock, SystemClock};

use crate::{AllocateError, LegRate, Relay, RelayConfig, StartError, TwoLegKind};

/// What to measure.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// Address to bind; a loopback address with port 0.
    pub address: SocketAddr,
    /// Calls of two legs.
    pub calls: usize,
    /// CPU of the one thread.
    pub cpu: Option<usize>,
    /// Messages per system call, 1…1024.
    pub batch: usize,
    /// Let the kernel join and cut packets.
    pub offload: bool,
}

/// Why the measurement cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The relay did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// There is no room for so many calls.
    #[error(transparent)]
    Allocate(#[from] AllocateError),
    /// Standard input or output.
    #[error("talk to crs-load: {0}")]
    Io(#[from] io::Error),
}

/// Runs one pinned relay thread until `input` ends.
pub fn serve(
    options: &BenchOptions,
    input: impl BufRead,
    mut output: impl Write,
) -> Result<(), BenchError> {
    let mut config = RelayConfig::on(vec![options.address]);
    config.cpus = options.cpu.into_iter().collect();
    config.batch = options.batch;
    config.offload = options.offload;
    config.max_legs = (options.calls * 2).max(crate::config::LEGS_DEFAULT);
    // The cap is worked out for every packet but never reached: the limit of the thread is wanted.
    config.rate = LegRate { packets_per_second: 1 << 29, bytes_per_second: 1 << 31 };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut relay = Relay::bind(config, clock)?;
    relay.start(Arc::new(|| {}))?;
    writeln!(output, "address {}", relay.addresses()[0])?;
    writeln!(output, "thread {}", thread_id(&relay))?;
    for _ in 0..options.calls {
        for leg in allocate(&mut relay)? {
            let credentials = &leg.credentials;
            writeln!(output, "leg {} {}", credentials.ufrag_text(), credentials.password_text())?;
        }
    }
    writeln!(output, "ready")?;
    output.flush()?;
    let mut events = Vec::new();
    for line in input.lines() {
        if line?.trim() != "stats" {
            continue;
        }
        events.clear();
        relay.poll(&mut events);
        let now = relay.counters();
        let forwarded: u64 = now.types.iter().map(|row| row.tx).sum();
        let dropped = now.sent_no_dest + now.sent_error + now.dropped_unknown + now.dropped_rate;
        writeln!(output, "stats {} {forwarded} {dropped}", now.received)?;
        output.flush()?;
    }
    Ok(())
}

/// Waits for the thread's first breath; it is on its way.
fn thread_id(relay: &Relay) -> u64 {
    loop {
        match relay.reader().thread_ids().first() {
            Some(0) | None if relay.threads_alive() > 0 => std::thread::yield_now(),
            Some(id) => return *id,
            None => return 0,
        }
    }
}

/// Tries again while the thread has not taken the commands of the calls before.
fn allocate(relay: &mut Relay) -> Result<[crate::NewLeg; 2], AllocateError> {
    loop {
        match relay.allocate(TwoLegKind::Rtp) {
            Ok(made) => return Ok(made.legs),
            Err(AllocateError::Busy { .. }) if relay.threads_alive() > 0 => {
                std::thread::yield_now();
            }
            Err(error) => return Err(error),
        }
    }
}
