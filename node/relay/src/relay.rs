//! [`Relay`]: the control side's handle on the pinned threads.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crs_proto::leg::LegCredentials;
use crs_types::{AllocationId, Clock, LegId, Mono, Rng};
use crs_udp::{BatchShape, Poller, Socket, Waker};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::allocation::{
    AllocateError, AllocationInfo, LegInfo, NewAllocation, NewLeg, StartError,
};
use crate::cells::ThreadCells;
use crate::config::{RelayConfig, RelayLimits};
use crate::counters::{LegCounters, RelayCounters};
use crate::event::RelayEvent;
use crate::kind::{RelayType, TwoLegKind};
use crate::message::{AddLeg, Command, LegKey, Report};
use crate::plane::{Links, Plane, PlaneParts, REPORTS, mesh};
use crate::reader::RelayReader;
use crate::records::{LegRecord, Record, Records, allocation_of};
use crate::sockets::bind_all;
use crate::thread::{Notify, ThreadParts, spawn};

/// An unbound leg ends unless refreshed or bound within this time.
pub const LEG_LIFETIME: Duration = Duration::from_secs(60);
/// Commands that may wait for one thread.
pub const COMMANDS: usize = 1024;
/// Pause between two looks at lifetimes.
const SWEEP: Duration = Duration::from_secs(1);
/// Channel numbers of opaque legs (RFC 8656 §12).
const CHANNEL_FIRST: u16 = 0x4000;

/// The data plane's handle. One owner; dropping it ends the threads and closes the sockets.
///
/// Order: [`Relay::bind`], [`Relay::start`], then any of the rest; [`Relay::poll`] at least once a
/// second and whenever the notify function was called.
pub struct Relay {
    config: RelayConfig,
    addresses: Vec<SocketAddr>,
    /// Per thread one socket per local address. The descriptors stay open over a restart.
    sockets: Vec<Vec<Arc<Socket>>>,
    clock: Arc<dyn Clock>,
    rng: Box<dyn Rng>,
    thread_rng: fn() -> Box<dyn Rng>,
    seed: [u64; 2],
    records: Records,
    /// Counters outlive restarts of the threads.
    cells: Vec<Arc<ThreadCells>>,
    threads: Vec<Thread>,
    /// Removals that a full ring has not taken; at most one per leg and thread.
    removals: VecDeque<(usize, LegKey)>,
    notify: Notify,
    sweep_at: Mono,
}

struct Thread {
    join: Option<JoinHandle<io::Result<()>>>,
    commands: Producer<Command>,
    reports: Consumer<Report>,
    waker: Waker,
    told_down: bool,
}

impl Relay {
    /// Checks the configuration and binds the sockets; nothing runs yet.
    pub fn bind(config: RelayConfig, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        config.check()?;
        let (addresses, sockets) = bind_all(&config)?;
        let mut rng: Box<dyn Rng> = Box::new(crs_types::OsRng);
        let mut seed = [0; 16];
        rng.fill(&mut seed);
        let seed = u128::from_le_bytes(seed);
        let cells = (0..config.threads).map(|_| ThreadCells::new(config.max_legs)).collect();
        Ok(Self {
            records: Records::new(config.max_legs, config.first_allocation),
            addresses,
            sockets,
            clock,
            rng,
            thread_rng: || Box::new(crs_types::OsRng),
            seed: [(seed >> 64) as u64, seed as u64],
            cells,
            threads: Vec::new(),
            removals: VecDeque::new(),
            notify: Arc::new(|| {}),
            sweep_at: Mono::default(),
            config,
        })
    }

    /// Starts the threads. `notify` is called by them, and must not block, when
    /// [`Relay::poll`] has something to say.
    pub fn start(&mut self, notify: Notify) -> Result<(), StartError> {
        self.notify = notify;
        self.run_threads()
    }

    /// Ends all threads and starts them again on the same sockets with the live legs. For use
    /// after [`RelayEvent::ThreadDown`]: waits for the threads (a round each), so not to be called
    /// on an async thread. Legs must prove their addresses again within 30 s.
    pub fn restart(&mut self) -> Result<(), StartError> {
        self.stop();
        self.run_threads()
    }

    /// Ends all threads and waits for them. The sockets stay bound.
    pub fn stop(&mut self) {
        for thread in &mut self.threads {
            // A thread that does not take commands has ended by itself.
            let _ = thread.commands.push(Command::Stop);
            thread.waker.wake();
        }
        for mut thread in std::mem::take(&mut self.threads) {
            if let Some(join) = thread.join.take() {
                let _ = join.join();
            }
        }
        self.removals.clear();
    }

    /// A new resource with two unbound legs.
    pub fn allocate(&mut self, kind: TwoLegKind) -> Result<NewAllocation, AllocateError> {
        self.admit(kind)?;
        let credentials = [(); 2].map(|()| LegCredentials::generate(&mut *self.rng));
        let channels = match kind {
            TwoLegKind::Rtp => [0; 2],
            TwoLegKind::Opaque => [(); 2].map(|()| self.channel()),
        };
        let now = self.clock.mono();
        let capacity = self.config.max_legs;
        let full = AllocateError::Full { capacity };
        let record = self.records.open(kind, credentials, channels, now).ok_or(full)?;
        for thread in &mut self.threads {
            for leg in &record.legs {
                // Room was checked by `admit`, and nobody else pushes.
                let _ = thread.commands.push(Command::Add(Box::new(to_add(record.kind, leg))));
            }
            thread.waker.wake();
        }
        let legs = record.legs.each_ref().map(|leg| NewLeg {
            id: leg.id,
            credentials: leg.credentials.clone(),
            channel: (leg.channel != 0).then_some(leg.channel),
        });
        Ok(NewAllocation { id: record.id, legs })
    }

    /// Keeps an unbound leg for another [`LEG_LIFETIME`]. False: there is no such leg.
    pub fn refresh(&mut self, leg: LegId) -> bool {
        let expires = self.clock.mono().plus(LEG_LIFETIME);
        let Some(record) = self.records.leg_mut(leg) else { return false };
        record.expires = expires;
        true
    }

    /// Frees one leg; the resource ends with its last leg. False: there is no such leg.
    pub fn free_leg(&mut self, leg: LegId) -> bool {
        let Some(record) = self.records.leg_mut(leg) else { return false };
        record.freed = true;
        record.address = None;
        let key = record.key;
        self.remove(key);
        let id = allocation_of(leg);
        let ended = self.records.get(id).is_some_and(|r| r.legs.iter().all(|leg| leg.freed));
        if ended {
            self.free(id);
        }
        true
    }

    /// Frees a resource. False: there is no such resource.
    pub fn free(&mut self, id: AllocationId) -> bool {
        let Some(keys) = self.records.close(id) else { return false };
        keys.into_iter().for_each(|key| self.remove(key));
        true
    }

    /// Replaces the limits (SIGHUP); resources that exist stay.
    pub fn set_limits(&mut self, limits: RelayLimits) {
        self.config.limits = limits;
    }

    /// What happened since the last call, appended to `out`: at most what the rings hold, plus
    /// lifetimes, looked at once a second.
    pub fn poll(&mut self, out: &mut Vec<RelayEvent>) {
        let now = self.clock.mono();
        self.flush_removals();
        for (index, thread) in self.threads.iter_mut().enumerate() {
            for _ in 0..REPORTS {
                let Ok(report) = thread.reports.pop() else { break };
                out.extend(self.records.report(report, now));
            }
            let ended = thread.join.as_ref().is_none_or(JoinHandle::is_finished);
            if ended && !thread.told_down {
                thread.told_down = true;
                out.push(RelayEvent::ThreadDown { thread: index });
            }
        }
        if now >= self.sweep_at {
            self.sweep_at = now.plus(SWEEP);
            self.sweep(now, out);
        }
    }

    /// The bound addresses, best first.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The configuration in force.
    pub fn config(&self) -> &RelayConfig {
        &self.config
    }

    /// Reads the counters.
    pub fn reader(&self) -> RelayReader {
        RelayReader(self.cells.iter().map(Arc::clone).collect())
    }

    /// Sums over all threads since the relay was bound.
    pub fn counters(&self) -> RelayCounters {
        self.reader().counters()
    }

    /// Threads that run.
    pub fn threads_alive(&self) -> usize {
        let alive = |thread: &&Thread| thread.join.as_ref().is_some_and(|join| !join.is_finished());
        self.threads.iter().filter(alive).count()
    }

    /// Live resources of a type.
    pub fn count(&self, kind: TwoLegKind) -> u64 {
        self.records.count(kind)
    }

    /// One live resource.
    pub fn info(&self, id: AllocationId) -> Option<AllocationInfo> {
        self.records.get(id).map(|record| self.describe(record))
    }

    /// All live resources in the order they were made.
    pub fn infos(&self) -> impl Iterator<Item = AllocationInfo> {
        self.records.iter().map(|record| self.describe(record))
    }

    /// The threads that the two legs' addresses were proved on; `None` while one is unbound.
    pub fn owners(&self, id: AllocationId) -> Option<[u8; 2]> {
        let [first, second] = &self.records.get(id)?.legs;
        Some([first.address?.0, second.address?.0])
    }

    fn describe(&self, record: &Record) -> AllocationInfo {
        let legs = record.legs.each_ref().map(|leg| LegInfo {
            id: leg.id,
            address: leg.address.map(|(_, address)| address),
            counters: leg_counters(&self.cells, leg.key),
        });
        let heard = legs.iter().map(|leg| Mono::from_micros(leg.counters.last_media_micros));
        let last_active = heard.fold(record.created, Mono::max);
        AllocationInfo { id: record.id, kind: record.kind.into(), last_active, legs }
    }

    /// Refuses what the limits or full rings forbid.
    fn admit(&self, kind: TwoLegKind) -> Result<(), AllocateError> {
        let of_type = RelayType::from(kind);
        if let Some(limit) = self.config.limits.of(of_type)
            && self.records.count(kind) >= limit
        {
            return Err(AllocateError::Limit { kind: of_type, limit });
        }
        if self.threads.is_empty() {
            return Err(AllocateError::NotStarted);
        }
        match self.threads.iter().position(|thread| thread.commands.slots() < 3) {
            // One place is left for the command to stop.
            Some(thread) => Err(AllocateError::Busy { thread }),
            None => Ok(()),
        }
    }

    fn channel(&mut self) -> u16 {
        let mut bytes = [0; 2];
        self.rng.fill(&mut bytes);
        CHANNEL_FIRST | u16::from_le_bytes(bytes) & 0x0fff
    }

    fn remove(&mut self, key: LegKey) {
        for thread in 0..self.threads.len() {
            self.removals.push_back((thread, key));
        }
        self.flush_removals();
    }

    /// Hands removals to the threads; those of a full ring wait for the next call.
    fn flush_removals(&mut self) {
        for _ in 0..self.removals.len() {
            let Some((index, key)) = self.removals.pop_front() else { return };
            let Some(thread) = self.threads.get_mut(index) else { continue };
            let room = thread.commands.slots() > 1;
            if !room || thread.commands.push(Command::Remove(key)).is_err() {
                self.removals.push_back((index, key));
            }
            thread.waker.wake();
        }
    }

    fn sweep(&mut self, now: Mono, out: &mut Vec<RelayEvent>) {
        for (event, key) in self.records.expire(now) {
            out.push(event);
            self.remove(key);
        }
        let ended: Vec<AllocationId> = self
            .records
            .iter()
            .filter(|record| record.legs.iter().all(|leg| leg.freed))
            .map(|record| record.id)
            .collect();
        ended.into_iter().for_each(|id| {
            self.free(id);
        });
    }

    fn run_threads(&mut self) -> Result<(), StartError> {
        let count = self.config.threads;
        let pollers = (0..count)
            .map(|_| Poller::new())
            .collect::<io::Result<Vec<_>>>()
            .map_err(|source| StartError::Io { what: "open an epoll descriptor".into(), source })?;
        let wakers: Vec<Waker> = pollers.iter().map(Poller::waker).collect();
        for (index, (poller, peers)) in pollers.into_iter().zip(mesh(count)).enumerate() {
            let (commands, commands_out) = RingBuffer::new(COMMANDS);
            let (reports_in, reports) = RingBuffer::new(REPORTS);
            let waker = poller.waker();
            let links = Links::new(commands_out, reports_in, peers);
            let parts = self.thread_parts(index, poller, links, wakers.clone());
            let join = spawn(parts).map_err(|source| StartError::Io {
                what: format!("start relay thread {index}"),
                source,
            })?;
            let join = Some(join);
            self.threads.push(Thread { join, commands, reports, waker, told_down: false });
        }
        Ok(())
    }

    fn thread_parts(
        &self,
        index: usize,
        poller: Poller,
        links: Links,
        wakers: Vec<Waker>,
    ) -> ThreadParts {
        let cells = Arc::clone(&self.cells[index]);
        let plane = Plane::new(
            &self.config,
            PlaneParts {
                me: index as u8,
                cells: Arc::clone(&cells),
                rng: (self.thread_rng)(),
                links,
                seed: self.seed,
                now: self.clock.mono().as_micros(),
            },
        );
        let live = |record: &Record| {
            let legs = record.legs.iter().filter(|leg| !leg.freed);
            legs.map(|leg| to_add(record.kind, leg)).collect::<Vec<_>>()
        };
        ThreadParts {
            name: format!("relay-{index}"),
            cpu: self.config.cpus.get(index).copied(),
            clock: Arc::clone(&self.clock),
            sockets: self.sockets[index].clone(),
            shape: BatchShape {
                messages: self.config.batch,
                locals: self.addresses.len(),
                coalesce: self.config.offload,
            },
            poller,
            plane,
            cells,
            wakers,
            notify: Arc::clone(&self.notify),
            legs: self.records.iter().flat_map(live).collect(),
        }
    }

    #[cfg(test)]
    pub(crate) fn crash(&mut self, thread: usize) {
        let thread = &mut self.threads[thread];
        thread.commands.push(Command::Crash).unwrap();
        thread.waker.wake();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

fn leg_counters(cells: &[Arc<ThreadCells>], key: LegKey) -> LegCounters {
    let mut sum = LegCounters::default();
    cells.iter().for_each(|cells| cells.add_leg_to(key.slot, &mut sum));
    sum
}

fn to_add(kind: TwoLegKind, leg: &LegRecord) -> AddLeg {
    AddLeg {
        key: leg.key,
        kind,
        peer: leg.key.slot ^ 1,
        channel: leg.channel,
        credentials: leg.credentials.clone(),
        address: leg.address,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use crs_types::SystemClock;

    use super::*;

    /// A relay whose only thread has ended by itself, and what it told.
    fn crashed() -> (Relay, Vec<RelayEvent>) {
        let config = RelayConfig::on(vec!["127.0.0.1:0".parse().unwrap()]);
        let mut relay = Relay::bind(config, Arc::new(SystemClock::new())).unwrap();
        let (told, bell) = sync_channel(16);
        let notify = move || {
            let _ = told.try_send(());
        };
        relay.start(Arc::new(notify)).unwrap();
        relay.crash(0);
        let mut events = Vec::new();
        for _ in 0..1000 {
            // The bell rings while the thread unwinds, a moment before it counts as finished.
            let _ = bell.recv_timeout(Duration::from_millis(10));
            relay.poll(&mut events);
            if !events.is_empty() {
                break;
            }
        }
        (relay, events)
    }

    /// Two commands for each resource, and one place is kept for the command to stop.
    #[test]
    fn commands_beyond_what_a_thread_takes_are_refused_and_releases_wait() {
        let (mut relay, _) = crashed();
        let room = (COMMANDS - 1) / 2;
        let made: Vec<_> = (0..room).map(|_| relay.allocate(TwoLegKind::Rtp).unwrap().id).collect();
        let refused = relay.allocate(TwoLegKind::Rtp).unwrap_err();
        assert!(matches!(refused, AllocateError::Busy { thread: 0 }), "{refused:?}");
        assert!(made.iter().all(|id| relay.free(*id)));
        assert!(relay.removals.len() >= 2 * room - 1, "no room for releases either");
        relay.restart().unwrap();
        relay.allocate(TwoLegKind::Rtp).unwrap();
        assert_eq!(relay.count(TwoLegKind::Rtp), 1);
    }

    #[test]
    fn a_thread_that_ends_by_itself_is_told_once_and_restarted() {
        let (mut relay, mut events) = crashed();
        assert_eq!(events, [RelayEvent::ThreadDown { thread: 0 }]);
        relay.poll(&mut events);
        assert_eq!(events.len(), 1, "told once");
        relay.restart().unwrap();
        assert_eq!(relay.threads_alive(), 1);
    }
}
