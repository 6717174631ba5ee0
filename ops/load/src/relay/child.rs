//! A forwarder in a process of its own: the relay of `crs-node`, or the floor of this program.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use crs_client::media::LegCredentials;

/// A started forwarder. Ended when dropped: its standard input closes.
pub(super) struct Forwarder {
    pub(super) address: SocketAddr,
    /// Credentials of the legs, two per call; empty for the floor.
    pub(super) legs: Vec<LegCredentials>,
    schedstat: PathBuf,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// Packets since the forwarder's start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    pub(super) forwarded: u64,
}

/// What the kernel says about the pinned thread.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scheduled {
    /// Time on the CPU.
    pub(super) ran: Duration,
    /// Time ready to run while another had the CPU.
    pub(super) waited: Duration,
}

impl Forwarder {
    pub(super) fn start(mut command: Command) -> anyhow::Result<Self> {
        let shown = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {shown}"))?;
        let input = child.stdin.take();
        let Some(output) = child.stdout.take() else { bail!("{shown} has no output") };
        let mut this = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            legs: Vec::new(),
            schedstat: PathBuf::new(),
            child,
            input,
            output: BufReader::new(output),
        };
        this.greeting().with_context(|| format!("read the first lines of {shown}"))?;
        Ok(this)
    }

    pub(super) fn counted(&mut self) -> anyhow::Result<Counted> {
        let input = self.input.as_mut().context("the forwarder has ended")?;
        input.write_all(b"stats\n")?;
        input.flush()?;
        let line = self.line()?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["stats", _, forwarded, _] => Ok(Counted { forwarded: forwarded.parse()? }),
            _ => bail!("expected `stats <received> <forwarded> <dropped>`, got {line:?}"),
        }
    }

    pub(super) fn scheduled(&self) -> anyhow::Result<Scheduled> {
        let path = self.schedstat.display();
        let text =
            std::fs::read_to_string(&self.schedstat).with_context(|| format!("read {path}"))?;
        let mut words = text.split_whitespace().map(str::parse::<u64>);
        match (words.next(), words.next()) {
            (Some(Ok(ran)), Some(Ok(waited))) => Ok(Scheduled {
                ran: Duration::from_nanos(ran),
                waited: Duration::from_nanos(waited),
            }),
            _ => bail!("{path}: expected two numbers, got {text:?}"),
        }
    }

    fn greeting(&mut self) -> anyhow::Result<()> {
        loop {
            let line = self.line()?;
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["address", address] => self.address = address.parse()?,
                ["thread", id] => {
                    let process = self.child.id();
                    self.schedstat = format!("/proc/{process}/task/{id}/schedstat").into();
                }
                ["leg", ufrag, password] => {
                    self.legs.push(LegCredentials::parse(ufrag, password)?);
                }
                ["ready"] => return Ok(()),
                _ => bail!("expected address, thread, leg or ready, got {line:?}"),
            }
        }
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("the forwarder ended: {}", self.child.wait()?);
        }
        Ok(line)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        drop(self.input.take());
        // The relay ends by itself at the end of its input; the floor's process may linger.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
