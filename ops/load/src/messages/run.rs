//! The run: senders at intended times, receivers, the killer, the result.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use crs_client::{Client, Event, Identity, Options};
use crs_types::rng::SeededRng;
use crs_types::{Clock, MessageId, Mono, SystemClock, Uri};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::Args;
use super::ledger::{Ledger, Place};
use crate::calls::ready;
use crate::common::bed::Bed;
use crate::common::process::{Tester, cpu_seconds, pss_bytes, raise_file_limit_for};
use crate::common::progress;
use crate::common::report::HOUR_MS;
use crate::idle::round3;

const ATTACH_WITHIN: Duration = Duration::from_secs(60);
/// After the last post, time for everything to arrive.
const DRAIN_WITHIN: Duration = Duration::from_secs(60);
/// A node that does not confirm anything for this long after a restart has failed.
const RECOVER_WITHIN: Duration = Duration::from_secs(60);

/// What all tasks share.
struct Shared {
    clock: SystemClock,
    state: Mutex<State>,
    /// When the newest confirmation came.
    last_confirmed: watch::Sender<Mono>,
}

struct State {
    ledger: Ledger,
    places: BTreeMap<MessageId, (Place, Mono)>,
    early: BTreeMap<MessageId, Mono>,
    latency: Histogram<u64>,
    busy: u64,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn posted(&self, place: Place, mid: MessageId, intended: Mono) {
        let mut state = self.state();
        state.places.insert(mid, (place, intended));
        // The confirmation may have overtaken us.
        if let Some(at) = state.early.remove(&mid) {
            state.confirm(place, intended, at);
        }
    }

    fn confirmed(&self, mid: MessageId) {
        let now = self.clock.mono();
        let mut state = self.state();
        match state.places.get(&mid).copied() {
            Some((place, intended)) => state.confirm(place, intended, now),
            None => drop(state.early.insert(mid, now)),
        }
        drop(state);
        self.last_confirmed.send_replace(now);
    }

    fn refused(&self, mid: MessageId) {
        let mut state = self.state();
        if let Some((place, _)) = state.places.get(&mid).copied() {
            state.ledger.refused(place);
        }
    }
}

impl State {
    fn confirm(&mut self, place: Place, intended: Mono, at: Mono) {
        self.ledger.confirmed(place);
        let millis = u64::try_from(at.since(intended).as_millis()).unwrap_or(u64::MAX);
        self.latency.saturating_record(millis);
    }
}

/// Runs the load.
pub(super) async fn run(args: &Args) -> anyhow::Result<Value> {
    if args.clients < 2 || args.rate <= 0.0 || args.size < 16 {
        bail!("at least 2 clients, a rate above 0 and 16 bytes are needed");
    }
    if args.kill9 > 0 && args.common.spawn == 0 {
        bail!("--kill9 needs a node of our own: --spawn 1");
    }
    raise_file_limit_for(args.clients, args.clients, args.common.spawn > 0)?;
    let settings = ["rate-limit message 600000".to_owned(), "rate-limit lookup 6000".to_owned()];
    let mut bed = Bed::make(&args.common, args.clients, &settings).await?;
    let clients = attach_all(&bed, args.clients).await?;
    let clock = SystemClock::new();
    let start = clock.mono();
    let state = State {
        ledger: Ledger::default(),
        places: BTreeMap::new(),
        early: BTreeMap::new(),
        latency: Histogram::new_with_bounds(1, HOUR_MS, 3)?,
        busy: 0,
    };
    let last_confirmed = watch::Sender::new(start);
    let shared = Arc::new(Shared { clock, state: Mutex::new(state), last_confirmed });
    let tester = Tester::start()?;
    let cpu = bed.pid().map(cpu_seconds).transpose()?;
    let mut receivers = JoinSet::new();
    for client in &clients {
        receivers.spawn(receive(client.clone(), shared.clone()));
    }
    let (stop, stopped) = watch::channel(false);
    let senders = start_senders(args, &bed, &clients, &shared, &stopped)?;
    let recoveries = post_and_kill(args, &mut bed, &shared).await;
    stop.send_replace(true);
    let posting = tester.seconds();
    finish(senders).await?;
    let recoveries = recoveries?;
    drain(&shared).await;
    let measured = json!({
        "seconds": round3(posting),
        "server_pss_bytes": bed.pid().map(pss_bytes).transpose()?,
        // After a kill the counter starts anew, so it is told for undisturbed runs only.
        "server_cpu_s": match (args.kill9, bed.pid(), cpu) {
            (0, Some(pid), Some(before)) => json!(round3(cpu_seconds(pid)? - before)),
            _ => Value::Null,
        },
        "tester_cpu": round3(tester.share()?),
    });
    let dropped: u64 = clients.iter().map(|client| client.status().dropped_events).sum();
    receivers.shutdown().await;
    for client in clients {
        if let Ok(client) = Arc::try_unwrap(client) {
            client.close().await;
        }
    }
    bed.end().await?;
    let state = shared.state();
    Ok(summary(args, &state, &recoveries, measured, posting, dropped))
}

async fn attach_all(bed: &Bed, count: usize) -> anyhow::Result<Vec<Arc<Client>>> {
    let bar = progress::bar(count as u64, "attach");
    let mut attaching: JoinSet<anyhow::Result<(usize, Client)>> = JoinSet::new();
    for (index, identity) in bed.users.identities.iter().take(count).cloned().enumerate() {
        attaching.spawn(async move { Ok((index, attach(identity).await?)) });
    }
    let mut clients = BTreeMap::new();
    while let Some(done) = attaching.join_next().await {
        let (index, client) = done??;
        clients.insert(index, Arc::new(client));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(clients.into_values().collect())
}

async fn attach(identity: Identity) -> anyhow::Result<Client> {
    let uri = identity.uri.clone();
    let options = Options { backoff_cap: Duration::from_secs(1), ..Options::default() };
    let client = Client::with_identity(identity, options).await?;
    client.wait_attached(ATTACH_WITHIN).await.with_context(|| format!("attach {uri}"))?;
    ready(&client).await;
    Ok(client)
}

fn start_senders(
    args: &Args,
    bed: &Bed,
    clients: &[Arc<Client>],
    shared: &Arc<Shared>,
    stopped: &watch::Receiver<bool>,
) -> anyhow::Result<JoinSet<()>> {
    let each = Duration::from_secs_f64(args.clients as f64 / args.rate);
    let mut senders = JoinSet::new();
    for (index, client) in clients.iter().enumerate() {
        let to = bed.users.identities[(index + 1) % args.clients].uri.clone();
        // Spread over the interval, so that the rate is even.
        let offset = each.mul_f64(index as f64 / args.clients as f64);
        let sender = Sender {
            client: client.clone(),
            to,
            index,
            size: args.size,
            shared: shared.clone(),
            stopped: stopped.clone(),
        };
        senders.spawn(sender.run(each, offset));
    }
    Ok(senders)
}

struct Sender {
    client: Arc<Client>,
    to: Uri,
    index: usize,
    size: usize,
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
}

impl Sender {
    async fn run(mut self, each: Duration, offset: Duration) {
        tokio::time::sleep(offset).await;
        let mut ticks = interval(each);
        // Late posts are made up for and judged by the time they were meant for.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let start = self.shared.clock.mono();
        let (mut number, mut due) = (0, 0.0);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = self.stopped.wait_for(|stopped| *stopped) => return,
            }
            // Of this tick, also when an earlier message was not taken.
            let intended = start.plus(each.mul_f64(due));
            due += 1.0;
            let place = Place { sender: self.index, number };
            self.shared.state().ledger.posted(place);
            match self.client.send(&self.to, &body(place, self.size)).await {
                Ok(mid) => {
                    self.shared.posted(place, mid, intended);
                    number += 1;
                }
                Err(_) => {
                    let mut state = self.shared.state();
                    state.ledger.withdrawn(place);
                    state.busy += 1;
                }
            }
        }
    }
}

/// `sender number` and padding.
fn body(place: Place, size: usize) -> Vec<u8> {
    let mut body = format!("{} {} ", place.sender, place.number).into_bytes();
    body.resize(size.max(body.len()), b'.');
    body
}

fn place(body: &[u8]) -> Option<Place> {
    let text = std::str::from_utf8(body).ok()?;
    let mut words = text.split(' ');
    let sender = words.next()?.parse().ok()?;
    let number = words.next()?.parse().ok()?;
    Some(Place { sender, number })
}

async fn receive(client: Arc<Client>, shared: Arc<Shared>) {
    while let Some(event) = client.next_event().await {
        match event {
            Event::Message(message) => {
                let known = message.content.as_deref().ok().and_then(place);
                match known {
                    Some(place) => shared.state().ledger.delivered(place),
                    None => shared.state().ledger.phantom(),
                }
                let _ = client.done(message.seq).await;
            }
            Event::Receipt { seq, .. } => {
                let _ = client.done(seq).await;
            }
            Event::Posted { mid, .. } => shared.confirmed(mid),
            Event::PostFailed { mid, .. } => shared.refused(mid),
            Event::Attached { .. }
            | Event::Disconnected { .. }
            | Event::Denied { .. }
            | Event::Unregistered { .. }
            | Event::Incoming(_)
            | Event::CallEnded { .. }
            | Event::ContactChanged { .. }
            | Event::StorageFailed { .. }
            | Event::Updated { .. } => {}
        }
    }
}

/// Posts for the given time, and kills meanwhile; returns how long each recovery took.
async fn post_and_kill(
    args: &Args,
    bed: &mut Bed,
    shared: &Shared,
) -> anyhow::Result<Vec<Duration>> {
    let clock = &shared.clock;
    let end = clock.mono().plus(Duration::from_secs(args.seconds));
    let mut rng = SeededRng::new(args.common.seed);
    let mut recoveries = Vec::new();
    let bar = progress::bar(u64::from(args.kill9), "kills");
    for _ in 0..args.kill9 {
        let calm = Duration::from_millis(500 + rng.next_u64() % 2500);
        tokio::time::sleep(calm).await;
        let node = bed.node.as_mut().context("no node of our own")?;
        let mut confirmed = shared.last_confirmed.subscribe();
        let killed = clock.mono();
        node.kill().await?;
        if let Some(command) = &args.after_kill {
            after_kill(command).await?;
        }
        node.restart().await?;
        // Replies of the killed process that were still on their way do not count.
        let up = clock.mono();
        let wait = confirmed.wait_for(|at| *at > up);
        let at = tokio::time::timeout(RECOVER_WITHIN, wait).await;
        let at = *at.context("nothing was confirmed after a restart")??;
        recoveries.push(at.since(killed));
        bar.inc(1);
    }
    bar.finish_and_clear();
    tokio::time::sleep(end.since(clock.mono())).await;
    Ok(recoveries)
}

async fn after_kill(command: &str) -> anyhow::Result<()> {
    let run = tokio::process::Command::new("sh").args(["-c", command]).kill_on_drop(true).status();
    let done = tokio::time::timeout(RECOVER_WITHIN, run).await;
    let status = done.context("--after-kill does not end")?.context("--after-kill")?;
    if !status.success() {
        bail!("--after-kill: {status}");
    }
    Ok(())
}

async fn finish(mut senders: JoinSet<()>) -> anyhow::Result<()> {
    while let Some(done) = senders.join_next().await {
        done?;
    }
    Ok(())
}

/// Waits until everything has arrived; what has not after the limit is judged as it is.
async fn drain(shared: &Shared) {
    let end = shared.clock.mono().plus(DRAIN_WITHIN);
    while shared.state().ledger.open() > 0 && shared.clock.mono() < end {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Repetitions would come now.
    tokio::time::sleep(Duration::from_secs(1)).await;
}

fn summary(
    args: &Args,
    state: &State,
    recoveries: &[Duration],
    measured: Value,
    posting: f64,
    dropped: u64,
) -> Value {
    let verdict = state.ledger.verdict();
    let millis = |d: &Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let mut sorted: Vec<u64> = recoveries.iter().map(millis).collect();
    sorted.sort_unstable();
    let offered = args.rate * posting;
    let tester_cpu = measured["tester_cpu"].as_f64().unwrap_or(1.0);
    let enough = verdict.confirmed as f64 >= offered / 2.0;
    let mut report = json!({
        "load": "messages",
        "kills": recoveries.len(),
        "confirmed": verdict.confirmed,
        "lost": verdict.lost,
        "duplicates": verdict.duplicates,
        "reordered": verdict.reordered,
        "phantoms": verdict.phantoms,
        "posted": verdict.posted,
        "refused": verdict.refused,
        "undelivered": state.ledger.open(),
        "max_recovery_ms": sorted.last(),
        "median_recovery_ms": sorted.get(sorted.len() / 2),
        "rate": args.rate,
        "clients": args.clients,
        "post_p50_ms": state.latency.value_at_quantile(0.5),
        "post_p99_ms": state.latency.value_at_quantile(0.99),
        "post_max_ms": state.latency.max(),
        "busy": state.busy,
        "lost_in_tester": dropped,
        "seed": args.common.seed,
        "valid": tester_cpu < 0.8 && enough && dropped == 0,
    });
    if let (Value::Object(report), Value::Object(measured)) = (&mut report, measured) {
        report.extend(measured);
    }
    report
}
