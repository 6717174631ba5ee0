//! Users who post far more than they may: one alone, and a crowd at one victim.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crs_types::Uri;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_tungstenite::tungstenite::Message;

use super::Args;
use super::speaker::{WITHIN, post, reply};
use crate::common::bed::Bed;
use crate::common::lean::{Lean, Socket};

/// Posts per second of each user in the crowd.
const CROWD_PACE: u32 = 50;
/// Posts go out in portions this often.
const PORTION: Duration = Duration::from_millis(20);
/// A user that is not let in tries again after this long.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Bytes of a message.
const SIZE: usize = 200;

/// What became of the flood.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tally {
    /// Posts written.
    pub(super) offered: u64,
    /// Posts confirmed.
    pub(super) accepted: u64,
    /// Posts refused.
    pub(super) refused: u64,
    /// Refused for a reason that passes, without saying when to try again.
    pub(super) without_retry: u64,
    /// Connections that the server ended.
    pub(super) cut: u64,
    /// Tries to connect or attach that failed.
    pub(super) kept_out: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.offered += other.offered;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.without_retry += other.without_retry;
        self.cut += other.cut;
        self.kept_out += other.kept_out;
    }
}

#[derive(Debug, Default)]
struct Counters {
    offered: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    without_retry: AtomicU64,
    cut: AtomicU64,
    kept_out: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A flood that is going on.
pub(super) struct Flood {
    tasks: JoinSet<()>,
    counters: Arc<Counters>,
}

impl Flood {
    /// Ends it; what became of it.
    pub(super) async fn stop(mut self) -> Tally {
        self.tasks.shutdown().await;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Tally {
            offered: read(&self.counters.offered),
            accepted: read(&self.counters.accepted),
            refused: read(&self.counters.refused),
            without_retry: read(&self.counters.without_retry),
            cut: read(&self.counters.cut),
            kept_out: read(&self.counters.kept_out),
        }
    }
}

/// Starts the users behind the honest ones: first the one that floods, then the crowd. The victim
/// of all is the first honest user.
pub(super) fn start(args: &Args, bed: &Bed) -> anyhow::Result<Flood> {
    let first = args.honest as usize;
    let victim = &bed.users.identities[0].uri;
    let counters = Arc::new(Counters::default());
    let mut tasks = JoinSet::new();
    for index in first..=first + args.crowd as usize {
        let lean = Lean::new(&bed.users.identities[index], &bed.server, index, true)?;
        let pace = if index == first { args.flood } else { CROWD_PACE };
        tasks.spawn(flood(lean, victim.clone(), pace, counters.clone()));
    }
    Ok(Flood { tasks, counters })
}

async fn flood(lean: Lean, to: Uri, pace: u32, counters: Arc<Counters>) {
    loop {
        let Ok(socket) = lean.connect(WITHIN).await else {
            count(&counters.kept_out);
            tokio::time::sleep(TRY_AGAIN).await;
            continue;
        };
        let (sink, stream) = socket.split();
        // Reading goes on while writing waits: whoever floods need not be a slow reader.
        tokio::select! {
            () = write(sink, &to, pace, &counters) => {}
            () = read(stream, &counters) => {}
        }
        count(&counters.cut);
    }
}

async fn write(mut sink: SplitSink<Socket, Message>, to: &Uri, pace: u32, counters: &Counters) {
    let mut ticks = interval(PORTION);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let portion = (f64::from(pace) * PORTION.as_secs_f64()).round().max(1.0) as u32;
    // Request 1 was the attach.
    let mut number = 1;
    loop {
        ticks.tick().await;
        for _ in 0..portion {
            number += 1;
            if sink.send(Message::text(post(number, to, SIZE))).await.is_err() {
                return;
            }
            count(&counters.offered);
        }
    }
}

async fn read(mut stream: SplitStream<Socket>, counters: &Counters) {
    while let Some(Ok(message)) = stream.next().await {
        let Ok(Some(reply)) = reply(&message) else { continue };
        match reply.err {
            None if reply.ok => count(&counters.accepted),
            None => {}
            Some(refusal) => {
                count(&counters.refused);
                // This one follows the post that failed; every other is told when to come again.
                if refusal.retry_ms.is_none() && refusal.code != "order-broken" {
                    count(&counters.without_retry);
                }
            }
        }
    }
}
