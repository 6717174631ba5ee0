//! `crs-load relay`: media packets through the relay against a bare forwarder.

use crate::cli::Common;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Options of every kind.
    #[command(flatten)]
    pub common: Common,
}

/// Runs the load; the result becomes the last line of standard output.
pub fn run(_args: &Args) -> anyhow::Result<serde_json::Value> {
    anyhow::bail!("this build does not measure the relay")
}
