//! Users who ask for all they have been sent, again and again, and read none of it.

use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Args;
use super::honest::{Honest, samples};
use super::speaker::{Speaker, post};
use crate::common::bed::Bed;
use crate::common::lean::{Lean, Socket};
use crate::common::process::pss_bytes;
use crate::common::progress;

/// Each reader's mailbox is given this many messages,
const MESSAGES: usize = 2;
/// of this many bytes: one of them fills a reply, and a lean client writes no more at once.
const SIZE: usize = 40_000;
/// Replies asked for: as many as may be in flight.
const FETCHES: usize = 32;
/// What the kernel takes for a reader that does not read, in bytes.
const RECEIVE_BUFFER: u32 = 8 * 1024;
/// The server has to notice within 30 s.
const NOTICED_WITHIN: Duration = Duration::from_secs(35);
/// What is left in the kernel is read within this long.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// What became of them.
pub(super) struct Stalled {
    /// Readers whose connection the server ended.
    pub(super) cut: usize,
    /// Confirmation times of the honest users meanwhile, microseconds.
    pub(super) honest: Histogram<u64>,
    /// Most that the server's memory grew, bytes.
    pub(super) growth: Option<u64>,
}

/// Lets the last users of the bed stall.
pub(super) async fn run(args: &Args, bed: &Bed, honest: &mut Honest) -> anyhow::Result<Stalled> {
    let speakers = attach(args, bed).await?;
    let before = bed.pid().map(pss_bytes).transpose()?;
    let mut times = samples()?;
    let mut sockets = Vec::with_capacity(speakers.len());
    for mut speaker in speakers {
        for _ in 0..FETCHES {
            let fetch = |number| format!(r#"{{"id":{number},"op":"msg.fetch","after":0}}"#);
            // A connection that is cut this early is counted below.
            if speaker.send(fetch).await.is_err() {
                break;
            }
        }
        sockets.push(speaker.into_socket());
    }
    let mut peak = before;
    let bar = progress::bar(NOTICED_WITHIN.as_secs(), "stalled");
    for _ in 0..NOTICED_WITHIN.as_secs() {
        honest.post_for(Duration::from_secs(1), &mut times).await?;
        peak = peak.max(bed.pid().map(pss_bytes).transpose()?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let growth = before.zip(peak).map(|(before, peak)| peak - before);
    Ok(Stalled { cut: count_cut(sockets).await?, honest: times, growth })
}

/// Attaches the readers; each fills the next one's mailbox.
async fn attach(args: &Args, bed: &Bed) -> anyhow::Result<Vec<Speaker>> {
    let first = (args.honest + args.crowd + 1) as usize;
    let readers = &bed.users.identities[first..];
    let bar = progress::bar(readers.len() as u64, "readers");
    let mut speakers = Vec::with_capacity(readers.len());
    for (index, identity) in readers.iter().enumerate() {
        let lean = Lean::new(identity, &bed.server, index, true)?;
        let mut speaker = Speaker::connect(&lean.with_receive_buffer(RECEIVE_BUFFER)).await?;
        let next = &readers[(index + 1) % readers.len()].uri;
        for _ in 0..MESSAGES {
            let reply = speaker.ask(|number| post(number, next, SIZE)).await?;
            anyhow::ensure!(reply.ok, "a reader's mailbox could not be filled: {:?}", reply.err);
        }
        speakers.push(speaker);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(speakers)
}

/// Reads what is left for each: how many come to an end.
async fn count_cut(sockets: Vec<Socket>) -> anyhow::Result<usize> {
    let mut reading = JoinSet::new();
    for mut socket in sockets {
        reading.spawn(async move {
            timeout(READ_WITHIN, async { while let Some(Ok(_)) = socket.next().await {} }).await
        });
    }
    let mut cut = 0;
    while let Some(done) = reading.join_next().await {
        cut += usize::from(done.context("read what is left")?.is_ok());
    }
    Ok(cut)
}
