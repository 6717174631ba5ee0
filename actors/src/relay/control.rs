//! The control actor: owns the data plane, answers requests, passes reports on, restarts threads.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crs_ops::{RelayLogLine, relay_log};
use crs_proto::session::{LegPath, LegReport, MediaReport, RelayFailure};
use crs_proto::wire::relay::{Leg, MediaAddress, RelayKind};
use crs_relay::{
    AllocateError, AllocationInfo, LEG_LIFETIME, LegInfo, NewLeg, Notify, Relay, RelayEvent,
    RelayLimits, TwoLegKind,
};
use crs_types::{AllocationId, LegId, Mono, SessionId};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::JoinHandle;

use super::allocation::{ALLOCATION_QUEUE, AllocationActor, AllocationMsg, Arguments as Below};
use super::figures::KINDS;
use super::service::{RelayAlarm, Shared};
use crate::admin::RelayResource;
use crate::handle::{Bounded, Gate, Handle, Reply};
use crate::session::{Allocated, Lease};
use crate::supervisor::OwnedTask;

/// Requests that may wait for the relay's control actor; further ones are refused.
pub const RELAY_QUEUE: u32 = 1024;
/// Releases that may wait apart from requests: one for each resource that can exist.
pub const RELAY_FREES: u32 = 32_768;
/// How often the data plane is looked at when it has nothing to report (lifetimes).
const POLL_EVERY: Duration = Duration::from_secs(1);

/// Resources of one run of the control actor are numbered below 2^32.
const RUN_BITS: u32 = 32;

/// What the control actor takes.
#[derive(Debug)]
pub enum RelayMsg {
    /// Make two legs.
    Allocate(RelayKind, SessionId, Reply<Result<Allocated, RelayFailure>>),
    /// Keep unbound legs alive.
    Refresh(AllocationId),
    /// End a resource.
    Free(AllocationId),
    /// What has been seen of both legs.
    Report(AllocationId, Reply<Option<MediaReport>>),
    /// For `show relays`.
    Resources(Reply<Vec<RelayResource>>),
    /// New limits (SIGHUP).
    Limits(RelayLimits),
    /// The data plane has something to say, or a second has passed.
    Poll,
}

/// What lets an allocation's actor release its resource whatever waits in front.
#[derive(Debug, Clone)]
pub(super) struct RelayOwner(Handle<RelayMsg>);

impl RelayOwner {
    pub(super) fn free(&self, message: RelayMsg) {
        // When the control actor is gone, so are its data plane and all legs.
        let _ = self.0.try_cast(message);
    }
}

#[derive(Debug)]
pub(super) struct ControlActor;

pub(super) struct Arguments {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct State {
    shared: Arc<Shared>,
    /// Absent only while the threads are being restarted.
    relay: Option<Relay>,
    /// For the clients, best first.
    addresses: Vec<MediaAddress>,
    entries: BTreeMap<AllocationId, Entry>,
    owner: RelayOwner,
    polling: Arc<AtomicBool>,
    _timer: OwnedTask,
}

/// A live resource, beside what the data plane knows.
struct Entry {
    session: SessionId,
    actor: Handle<AllocationMsg>,
    /// The caller's leg, the callee's.
    paths: [LegPath; 2],
}

/// Also when the actor was killed. An orderly stop has ended the threads before.
impl Drop for State {
    fn drop(&mut self) {
        self.shared.running.store(false, Ordering::Release);
        relay_log(RelayLogLine::Stop, &"relay");
        if let Some(relay) = self.relay.take() {
            self.shared.ending.put(end(relay));
        }
    }
}

impl Actor for ControlActor {
    type Msg = Bounded<RelayMsg>;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let shared = arguments.shared;
        let handle = Handle::new(myself.clone(), Arc::clone(&shared.gate));
        let polling = Arc::new(AtomicBool::new(false));
        // After a crash of this actor: its resources went with it, and their ids are not used again.
        shared.allocations.cell().get_children().iter().for_each(|below| below.stop(None));
        let mut config = shared.settings.relay.clone();
        config.first_allocation = shared.runs.fetch_add(1, Ordering::AcqRel) << RUN_BITS | 1;
        // Its sockets are free only when its threads have ended.
        shared.ending.wait().await;
        let (clock, bell) = (Arc::clone(&shared.clock), bell(handle.clone(), Arc::clone(&polling)));
        // Binding and starting threads are blocking calls.
        let starting = tokio::task::spawn_blocking(move || {
            let mut relay = Relay::bind(config, clock)?;
            relay.start(bell)?;
            Ok::<_, crs_relay::StartError>(relay)
        });
        let relay = starting.await??;
        shared.reader.store(Some(Arc::new(relay.reader())));
        shared.running.store(true, Ordering::Release);
        relay_log(RelayLogLine::Start, &format_args!("{:?}", relay.addresses()));
        let addresses = advertised(&shared.settings.advertised, relay.addresses());
        shared.addresses.store(Arc::new(addresses.clone()));
        let owner = RelayOwner(Handle::new(myself, Arc::clone(&shared.frees)));
        let timer = OwnedTask::spawn(tick(handle.clone()));
        shared.handle.set(handle);
        let entries = BTreeMap::new();
        let addresses = addresses.into_iter().map(|addr| MediaAddress::Udp { addr }).collect();
        let relay = Some(relay);
        Ok(State { shared, relay, addresses, entries, owner, polling, _timer: timer })
    }

    async fn post_stop(
        &self,
        _: ActorRef<Self::Msg>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(relay) = state.relay.take() {
            end(relay).await?;
        }
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message.take() {
            RelayMsg::Allocate(kind, session, reply) => {
                let made = state.allocate(kind, session).await;
                state.shared.figures.asked(kind, &made);
                state.note_live();
                reply.send(made);
            }
            RelayMsg::Refresh(id) => state.refresh(id),
            RelayMsg::Free(id) => state.free(id),
            RelayMsg::Report(id, reply) => reply.send(state.report(id)),
            RelayMsg::Resources(reply) => reply.send(state.resources()),
            RelayMsg::Limits(limits) => {
                if let Some(relay) = &mut state.relay {
                    relay.set_limits(limits);
                }
            }
            RelayMsg::Poll => state.poll().await?,
        }
        state.note_live();
        Ok(())
    }
}

impl State {
    /// Whatever was done: a resource also ends by itself, or with its actor.
    fn note_live(&self) {
        for (kind, _) in KINDS {
            let live = self.relay.as_ref().map_or(0, |relay| relay.count(two_leg(kind)));
            self.shared.figures.of(kind).live.store(live, Ordering::Relaxed);
        }
    }

    async fn allocate(
        &mut self,
        kind: RelayKind,
        session: SessionId,
    ) -> Result<Allocated, RelayFailure> {
        let relay = self.relay.as_mut().ok_or(RelayFailure::Unavailable)?;
        let made = relay.allocate(two_leg(kind)).map_err(|error| self.shared.refused(&error))?;
        let id = made.id;
        let gate = Gate::new(ALLOCATION_QUEUE, self.shared.queue_metrics.clone());
        let below = Below { id, session, owner: self.owner.clone() };
        let actor = match self.shared.allocations.spawn(AllocationActor, below).await {
            Ok(actor) => Handle::new(actor, gate),
            Err(error) => {
                tracing::warn!(%error, "relay allocation refused");
                self.relay.as_mut().map(|relay| relay.free(id));
                return Err(RelayFailure::Limit);
            }
        };
        self.entries.insert(id, Entry { session, actor, paths: [LegPath::NeverBound; 2] });
        relay_log(RelayLogLine::CommandAdd, &format_args!("allocation {id} session {session}"));
        let [caller, callee] = made.legs.map(|leg| self.wire(kind, leg));
        let owner = self.owner.clone();
        let lease = Lease::new(id, move |id| owner.free(RelayMsg::Free(id)));
        Ok(Allocated { lease, caller, callee })
    }

    fn wire(&self, kind: RelayKind, leg: NewLeg) -> Leg {
        Leg {
            leg: leg.id.0,
            kind,
            addresses: self.addresses.clone(),
            ufrag: leg.credentials.ufrag_text().to_owned(),
            password: leg.credentials.password_text().to_owned(),
            channel: leg.channel,
            lifetime_ms: u64::try_from(LEG_LIFETIME.as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn refresh(&mut self, id: AllocationId) {
        let Some(relay) = &mut self.relay else { return };
        if let Some(info) = relay.info(id) {
            for leg in info.legs {
                relay.refresh(leg.id);
            }
        }
    }

    fn free(&mut self, id: AllocationId) {
        if let Some(relay) = &mut self.relay {
            relay.free(id);
        }
        if let Some(entry) = self.entries.remove(&id) {
            // Refused only when the actor has sixteen messages waiting or has ended: stop it then.
            if entry.actor.try_cast(AllocationMsg::End).is_err() {
                entry.actor.actor().stop(None);
            }
        }
    }

    fn report(&self, id: AllocationId) -> Option<MediaReport> {
        let entry = self.entries.get(&id)?;
        let info = self.relay.as_ref()?.info(id)?;
        let [caller, callee] = info.legs;
        let report = |leg: LegInfo, path| {
            let last = leg.counters.last_media_micros;
            let last_packet = (last > 0).then(|| Mono::from_micros(last));
            LegReport { path, last_packet }
        };
        let [caller_path, callee_path] = entry.paths;
        Some(MediaReport {
            caller: report(caller, caller_path),
            callee: report(callee, callee_path),
        })
    }

    fn resources(&self) -> Vec<RelayResource> {
        let Some(relay) = &self.relay else { return Vec::new() };
        relay.infos().map(|info| self.resource(&info)).collect()
    }

    fn resource(&self, info: &AllocationInfo) -> RelayResource {
        let clock = &self.shared.clock;
        let heard = info.legs.iter().map(|leg| leg.counters.last_media_micros).max();
        let last_active = heard.filter(|last| *last > 0).map(|last| {
            let ago = clock.mono().since(Mono::from_micros(last));
            clock.now().minus(ago)
        });
        RelayResource {
            id: info.id,
            kind: info.kind,
            last_active,
            session: self.entries.get(&info.id).map(|entry| entry.session),
            bound: info.legs.iter().filter(|leg| leg.address.is_some()).count(),
            legs: info.legs.len(),
        }
    }

    fn note(&mut self, id: AllocationId, leg: LegId, path: LegPath) {
        if let Some(entry) = self.entries.get_mut(&id) {
            // Legs are numbered in pairs: the caller's is even.
            entry.paths[usize::from(leg.0 % 2 == 1)] = path;
        }
    }

    async fn poll(&mut self) -> Result<(), ActorProcessingErr> {
        self.polling.store(false, Ordering::Release);
        let mut events = Vec::new();
        if let Some(relay) = &mut self.relay {
            relay.poll(&mut events);
        }
        let now = self.shared.clock.mono();
        for event in events {
            match event {
                RelayEvent::ThreadDown { thread } => self.restart(thread).await?,
                RelayEvent::Bound { allocation, leg, .. } => {
                    self.note(allocation, leg, LegPath::Bound);
                    self.pass(allocation, event);
                }
                RelayEvent::ConsentLost { allocation, leg, .. } => {
                    self.note(allocation, leg, LegPath::LostSince(now));
                    self.pass(allocation, event);
                }
                RelayEvent::AddressTaken { allocation, .. }
                | RelayEvent::Expired { allocation, .. } => self.pass(allocation, event),
            }
        }
        Ok(())
    }

    fn pass(&self, id: AllocationId, event: RelayEvent) {
        if let Some(entry) = self.entries.get(&id) {
            // Sixteen events waiting already say what there is to say.
            let _ = entry.actor.try_cast(AllocationMsg::Event(event));
        }
    }

    /// Starts all threads again after one has ended by itself. Fails, and so leaves the decision
    /// to the supervisor, when that is not possible.
    async fn restart(&mut self, thread: usize) -> Result<(), ActorProcessingErr> {
        tracing::error!(thread, "relay thread ended by itself; restarting the data plane");
        self.shared.running.store(false, Ordering::Release);
        (self.shared.settings.alarm)(RelayAlarm::Down { thread });
        let Some(mut relay) = self.relay.take() else { return Ok(()) };
        // Ending and starting threads waits for them: not on an async thread.
        let restarted = tokio::task::spawn_blocking(move || relay.restart().map(|()| relay));
        self.relay = Some(restarted.await??);
        self.shared.running.store(true, Ordering::Release);
        (self.shared.settings.alarm)(RelayAlarm::Up);
        Ok(())
    }
}

/// Ends the threads, which waits for them: not on an async thread.
fn end(relay: Relay) -> JoinHandle<()> {
    tokio::task::spawn_blocking(move || drop(relay))
}

/// The data plane of a control actor that was killed or has failed, while its threads end. The
/// next one waits for that.
#[derive(Default)]
pub(super) struct Ending(Mutex<Option<JoinHandle<()>>>);

impl Ending {
    fn put(&self, ending: JoinHandle<()>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(ending);
    }

    async fn wait(&self) {
        let ending = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ending) = ending {
            // A panic of it has been told where it happened, and the sockets are closed all the same.
            let _ = ending.await;
        }
    }
}

impl Shared {
    fn refused(&self, error: &AllocateError) -> RelayFailure {
        match error {
            AllocateError::Limit { .. } | AllocateError::Full { .. } => {
                tracing::warn!(%error, "relay allocation refused");
                (self.settings.alarm)(RelayAlarm::Limit(error.to_string()));
                RelayFailure::Limit
            }
            AllocateError::Busy { .. } | AllocateError::NotStarted => {
                tracing::warn!(%error, "relay allocation refused");
                RelayFailure::Unavailable
            }
        }
    }
}

fn two_leg(kind: RelayKind) -> TwoLegKind {
    match kind {
        RelayKind::Rtp => TwoLegKind::Rtp,
        RelayKind::Opaque => TwoLegKind::Opaque,
    }
}

/// Called on pinned threads: one message at most until it is taken.
fn bell(handle: Handle<RelayMsg>, polling: Arc<AtomicBool>) -> Notify {
    Arc::new(move || {
        if !polling.swap(true, Ordering::AcqRel) && handle.try_cast(RelayMsg::Poll).is_err() {
            // The queue is full or the actor gone; the timer will look.
            polling.store(false, Ordering::Release);
        }
    })
}

async fn tick(handle: Handle<RelayMsg>) {
    let mut interval = tokio::time::interval(POLL_EVERY);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        // A full queue is busy enough; the next tick comes.
        let _ = handle.try_cast(RelayMsg::Poll);
    }
}

/// The operator's addresses with the bound port, or the bound addresses themselves.
fn advertised(wanted: &[std::net::IpAddr], bound: &[SocketAddr]) -> Vec<SocketAddr> {
    let port = bound.first().map_or(0, SocketAddr::port);
    if wanted.is_empty() {
        return bound.to_vec();
    }
    wanted.iter().map(|ip| SocketAddr::new(*ip, port)).collect()
}
