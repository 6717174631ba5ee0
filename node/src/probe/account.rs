//! `health-check account`: attach, lookup, message with acknowledgement, call with media.

use std::sync::Arc;
use std::time::Duration;

use crs_admin_api::command::health_check::Test;
use crs_client::{Client, Event};
use crs_types::{AccountId, OsRng, Rng};

use super::clients::{self, Pair};
use super::{ProbeParts, Stopwatch, call};

/// How long one step may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(12);

pub(super) async fn run(parts: Arc<ProbeParts>, account: AccountId, local_only: bool) -> Vec<Test> {
    let clock = &*parts.clock;
    let watch = Stopwatch::start(clock, "attach");
    let pair = match clients::attach(&parts, &account, local_only).await {
        Ok(pair) => pair,
        Err(why) => return vec![watch.of::<()>(Err(why), |()| String::new())],
    };
    let mut tests = vec![watch.of(Ok(()), |()| "2 test clients attached".to_owned())];

    let watch = Stopwatch::start(clock, "lookup");
    tests
        .push(watch.of(bounded(lookup(&pair)).await, |()| "the other client was found".to_owned()));

    let watch = Stopwatch::start(clock, "message");
    let outcome = bounded(message(&pair)).await;
    tests.push(
        watch.of(outcome, |copies| format!("posted ({copies}), fetched, read and acknowledged")),
    );

    let watch = Stopwatch::start(clock, "call");
    tests.push(call::judged(&watch, call::run(&parts, &pair).await));
    pair.close().await;
    tests
}

async fn bounded<T>(step: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = || Err(format!("no result within {} s", STEP_TIMEOUT.as_secs()));
    tokio::time::timeout(STEP_TIMEOUT, step).await.unwrap_or_else(|_| late())
}

/// The keys in the answer are not looked at: the server has none of test clients.
async fn lookup(pair: &Pair) -> Result<(), String> {
    use crs_proto::codec::Op;
    use crs_proto::wire::lookup::{Found, Lookup};
    let op = Op::Lookup(Lookup { uri: pair.callee_uri.clone() });
    let found: Found = pair.caller.request(op).await.map_err(|error| error.to_string())?;
    if found.attached { Ok(()) } else { Err("the server says that it is not attached".to_owned()) }
}

/// On how many nodes the message was.
async fn message(pair: &Pair) -> Result<String, String> {
    let body = OsRng.bytes::<200>();
    let sent = pair.caller.send_confirmed(&pair.callee_uri, &body, STEP_TIMEOUT);
    let confirmed = sent.await.map_err(|error| format!("posting: {error}"))?;
    let received = next(&pair.callee, |event| {
        let Event::Message(message) = event else { return None };
        (message.from == pair.caller_uri).then_some(message)
    });
    let received = received.await?;
    let content = received.content.map_err(|why| format!("the message cannot be read: {why}"))?;
    if content != body {
        return Err("the message arrived with another content".to_owned());
    }
    pair.callee.done(received.seq).await.map_err(|error| error.to_string())?;
    next(&pair.caller, |event| {
        let Event::Receipt { mid, .. } = event else { return None };
        (mid == received.mid).then_some(())
    })
    .await?;
    Ok(crs_client::copies_text(confirmed.copies))
}

/// The next event that fits; others of a client that lives for seconds do not matter.
pub(super) async fn next<T>(
    client: &Client,
    fits: impl Fn(Event) -> Option<T>,
) -> Result<T, String> {
    while let Some(event) = client.next_event().await {
        if let Some(value) = fits(event) {
            return Ok(value);
        }
    }
    Err("the client was closed".to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_step_that_hangs_fails_after_twelve_seconds() {
        let began = Instant::now();
        let outcome = bounded(std::future::pending::<Result<(), String>>()).await;
        assert_eq!(outcome.unwrap_err(), "no result within 12 s");
        assert_eq!(began.elapsed().as_secs(), STEP_TIMEOUT.as_secs());
        assert_eq!(bounded(async { Ok(5) }).await, Ok(5));
    }
}
