//! Honest users: each posts at a calm pace and measures how long its confirmations take.

use std::time::Duration;

use anyhow::Context;
use crs_types::{Clock, SystemClock, Uri};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::speaker::{Speaker, post};
use crate::common::bed::Bed;
use crate::common::lean::Lean;

/// Between two posts of a user: its rate allows 120 a minute.
const EACH: Duration = Duration::from_millis(500);
/// Bytes of a message.
const SIZE: usize = 200;
/// Upper end of the samples in microseconds.
const MINUTE_US: u64 = 60_000_000;

/// An empty set of confirmation times in microseconds.
pub(super) fn samples() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, MINUTE_US, 3)?)
}

/// The group of them.
pub(super) struct Honest {
    users: Vec<User>,
    failed: u64,
}

struct User {
    speaker: Speaker,
    to: Uri,
    offset: Duration,
}

impl Honest {
    /// Attaches the first `count` users of the bed.
    pub(super) async fn attach(bed: &Bed, count: usize) -> anyhow::Result<Self> {
        let mut users = Vec::with_capacity(count);
        for (index, identity) in bed.users.identities.iter().take(count).enumerate() {
            let lean = Lean::new(identity, &bed.server, index, true)?;
            users.push(User {
                speaker: Speaker::connect(&lean).await?,
                to: bed.users.identities[(index + 1) % count].uri.clone(),
                offset: EACH.mul_f64(index as f64 / count as f64),
            });
        }
        Ok(Self { users, failed: 0 })
    }

    /// Posts for this long; every confirmation goes into `samples`.
    pub(super) async fn post_for(
        &mut self,
        duration: Duration,
        samples: &mut Histogram<u64>,
    ) -> anyhow::Result<()> {
        let mut posting = JoinSet::new();
        for user in self.users.drain(..) {
            posting.spawn(user.post_for(duration));
        }
        while let Some(done) = posting.join_next().await {
            let (user, times, failed) = done??;
            self.users.push(user);
            self.failed += failed;
            times.into_iter().for_each(|time| samples.saturating_record(time));
        }
        Ok(())
    }

    /// Posts that were refused so far.
    pub(super) fn failed(&self) -> u64 {
        self.failed
    }
}

impl User {
    async fn post_for(mut self, duration: Duration) -> anyhow::Result<(Self, Vec<u64>, u64)> {
        let clock = SystemClock::new();
        tokio::time::sleep(self.offset).await;
        let start = clock.mono();
        let mut ticks = interval(EACH);
        // Late posts are made up for and judged by the time they were meant for.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut times, mut failed, mut due) = (Vec::new(), 0, Duration::ZERO);
        while due < duration {
            ticks.tick().await;
            let intended = start.plus(due);
            due += EACH;
            let reply = self
                .speaker
                .ask(|number| post(number, &self.to, SIZE))
                .await
                .context("an honest post")?;
            if reply.ok {
                let time = clock.mono().since(intended).as_micros();
                times.push(u64::try_from(time).unwrap_or(u64::MAX));
            } else {
                failed += 1;
            }
        }
        // The next round's first post must not come sooner than its rate allows.
        ticks.tick().await;
        Ok((self, times, failed))
    }
}
