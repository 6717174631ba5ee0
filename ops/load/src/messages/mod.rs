//! `crs-load messages`: posts at a rate, optionally with kill -9 of the node, and checks the
//! ledger.

pub mod ledger;
mod run;

use serde_json::Value;

use crate::cli::Common;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Options of every kind.
    #[command(flatten)]
    pub common: Common,
    /// Messages per second, of all clients together
    #[arg(long, value_name = "N", default_value_t = 100.0)]
    pub rate: f64,
    /// How long to post; with --kill9 at least until all kills are done
    #[arg(long, value_name = "S", default_value_t = 20)]
    pub seconds: u64,
    /// Clients; each writes to the next one
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub clients: usize,
    /// Bytes of one message
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub size: usize,
    /// Kill the node this many times at random moments and start it again
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub kill9: u32,
    /// Shell command between each kill and the next start, e.g. to cut the power of a disk
    #[arg(long, value_name = "COMMAND", requires = "kill9")]
    pub after_kill: Option<String>,
}

/// Runs the load.
pub async fn run(args: &Args) -> anyhow::Result<Value> {
    run::run(args).await
}
