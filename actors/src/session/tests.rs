//! The shell: sessions are found by id, user and leg, replies reach their askers, timers fire,
//! relays are freed, a draining node says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crs_proto::session::{LegPath, LegReport, MediaReport, RelayFailure, SessionConfig};
use crs_proto::wire::Bytes64;
use crs_proto::wire::call::{
    Answer, CallState, Hangup, HangupReason, Invite, Ringing, SessionState,
};
use crs_proto::wire::life::Role;
use crs_proto::wire::relay::{Alloc, Free, Leg, Refresh, RelayKind};
use crs_proto::wire::{ErrorBody, ErrorCode};
use crs_types::rng::SeededRng;
use crs_types::{
    AccountId, AllocationId, ClientAddr, Clock, DeviceId, Mono, NodeId, NodeName, SessionId,
    Timestamp, Uri,
};
use futures_util::future::BoxFuture;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::mpsc;

use super::*;
use crate::accounts::{Account, AccountRegistry, AccountsView, BlobReader, ShownKeys, Span};
use crate::connection::{ConnectionHandle, ConnectionMsg, ServerEvent};
use crate::context::{ContextParts, DrainState, NodeContext};
use crate::directory::{KeyExchange, LocalDirectory, Registration};
use crate::handle::{Bounded, Gate, Handle};
use crate::metrics::{NodeMetrics, QueueMetrics};
use crate::services::{Party, SessionReply, SessionRequest, Sessions};
use crate::settings::Settings;
use crate::supervisor::{Intensity, SupervisorHandle};
use crate::trace::NoTrace;

mod flood;
mod limits;
mod race;
mod ringing;

/// Follows tokio's clock, so that paused tests move both.
struct TestClock(tokio::time::Instant);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_800_000_000).plus(self.0.elapsed())
    }

    fn mono(&self) -> Mono {
        Mono::from_micros(1).plus(self.0.elapsed())
    }
}

#[derive(Default)]
struct FakeRelay {
    fails: bool,
    /// Reports that no allocation exists.
    lost: bool,
    made: Mutex<u64>,
    freed: Arc<Mutex<Vec<AllocationId>>>,
    refreshed: Mutex<u64>,
}

impl MediaRelay for FakeRelay {
    fn allocate(
        &self,
        kind: RelayKind,
        _: SessionId,
    ) -> BoxFuture<'static, Result<Allocated, RelayFailure>> {
        if self.fails {
            return Box::pin(async { Err(RelayFailure::Limit) });
        }
        let mut made = self.made.lock().unwrap();
        *made += 1;
        let (id, first) = (AllocationId(*made), *made * 10);
        let leg = move |leg| Leg {
            leg,
            kind,
            addresses: Vec::new(),
            ufrag: String::new(),
            password: String::new(),
            channel: None,
            lifetime_ms: 60_000,
        };
        let freed = Arc::clone(&self.freed);
        let lease = Lease::new(id, move |id| freed.lock().unwrap().push(id));
        Box::pin(async move { Ok(Allocated { lease, caller: leg(first), callee: leg(first + 1) }) })
    }

    fn refresh(&self, _: AllocationId) {
        *self.refreshed.lock().unwrap() += 1;
    }

    fn report(
        &self,
        _: AllocationId,
    ) -> BoxFuture<'static, Result<Option<MediaReport>, RelayFailure>> {
        let leg = LegReport { path: LegPath::NeverBound, last_packet: None };
        if self.lost {
            return Box::pin(async { Ok(None) });
        }
        Box::pin(async move { Ok(Some(MediaReport { caller: leg, callee: leg })) })
    }
}

struct NoBlobs;

impl BlobReader for NoBlobs {
    fn read(
        &self,
        _: crs_types::BlobHash,
        _: Vec<Span>,
    ) -> BoxFuture<'static, std::io::Result<Vec<Vec<u8>>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// A connection that hands its events to the test.
struct FakeConnection(mpsc::Sender<CallState>);

impl Actor for FakeConnection {
    type Msg = Bounded<ConnectionMsg>;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Self::Msg>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        message: Self::Msg,
        _: &mut (),
    ) -> Result<(), ActorProcessingErr> {
        if let Some(ServerEvent::CallState(state)) = message.take().event() {
            self.0.send(*state).await?;
        }
        Ok(())
    }
}

struct Client {
    party: Party,
    events: mpsc::Receiver<CallState>,
    actor: ActorRef<Bounded<ConnectionMsg>>,
}

impl Client {
    async fn event(&mut self) -> SessionState {
        self.full_event().await.state
    }

    async fn full_event(&mut self) -> CallState {
        tokio::time::timeout(Duration::from_secs(600), self.events.recv()).await.unwrap().unwrap()
    }
}

struct Rig {
    context: Arc<NodeContext>,
    service: SessionService,
    supervisor: SupervisorHandle,
    relay: Arc<FakeRelay>,
}

impl Rig {
    async fn new(relay: FakeRelay, population: usize) -> Self {
        let account = AccountId::parse("police").unwrap();
        let accounts = AccountRegistry::new();
        let entry = Account::new(account.clone(), BTreeMap::new(), BTreeSet::new());
        let accounts_map = [(account, Arc::new(entry))].into();
        accounts.swap(AccountsView { version: 1, accounts: accounts_map });
        let clock: Arc<dyn Clock> = Arc::new(TestClock(tokio::time::Instant::now()));
        let metrics = NodeMetrics::default();
        let config = crate::supervisor::SupervisorConfig {
            name: "session_sup",
            intensity: Intensity::default(),
            population,
        };
        let supervisor =
            SupervisorHandle::start(config, Arc::clone(&clock), &metrics, None).await.unwrap();
        let context = NodeContext::new(ContextParts {
            name: NodeName::parse("crs1").unwrap(),
            id: NodeId(1),
            version: "test".into(),
            clock,
            rng: Box::new(SeededRng::new(1)),
            settings: Settings::default(),
            accounts: Arc::new(accounts),
            blobs: Arc::new(NoBlobs),
            directory: Arc::new(LocalDirectory::new()),
            trace: Arc::new(NoTrace),
            metrics,
        });
        let relay = Arc::new(relay);
        let service = SessionService::new(
            &context,
            supervisor.clone(),
            Arc::clone(&relay) as Arc<dyn MediaRelay>,
            SessionConfig::default(),
            SessionMetrics::default(),
        );
        Self { context, service, supervisor, relay }
    }

    /// An attached device of test client `index`.
    async fn client(&self, index: u32, device: &str, role: Role) -> Client {
        let (sender, events) = mpsc::channel(16);
        let (actor, _) = Actor::spawn(None, FakeConnection(sender), ()).await.unwrap();
        let id = self.context.next_connection();
        let gate = Gate::new(64, QueueMetrics::default());
        let connection = ConnectionHandle::new(id, Handle::new(actor.clone(), gate));
        let party = Party {
            account: AccountId::parse("police").unwrap(),
            uri: Uri::test_client(index, "a").unwrap(),
            device: DeviceId::parse(device).unwrap(),
            role,
            addr: ClientAddr::new("127.0.0.1:1".parse().unwrap()),
            connection: connection.clone(),
        };
        let registration = Registration {
            account: party.account.clone(),
            uri: party.uri.clone(),
            role,
            device: party.device.clone(),
            connection: id,
            handle: connection,
            since: self.context.clock.now(),
            version: "".into(),
            addr: party.addr,
            key_exchange: KeyExchange::Hybrid,
            keys: ShownKeys { generation: crs_types::Generation(1), issuer: None },
            node: self.context.name.clone(),
        };
        self.context.directory.register(Arc::new(registration)).unwrap();
        Client { party, events, actor }
    }

    async fn ask(
        &self,
        client: &Client,
        request: SessionRequest,
    ) -> Result<SessionReply, ErrorBody> {
        self.service.request(client.party.clone(), request).await
    }

    async fn state(&self, client: &Client, request: SessionRequest) -> SessionState {
        match self.ask(client, request).await {
            Ok(SessionReply::State(state)) => state.state,
            other => panic!("{other:?}"),
        }
    }

    async fn leg(&self, client: &Client, request: SessionRequest) -> u64 {
        match self.ask(client, request).await {
            Ok(SessionReply::Leg(leg)) => leg.leg,
            other => panic!("{other:?}"),
        }
    }

    async fn code(&self, client: &Client, request: SessionRequest) -> ErrorCode {
        self.ask(client, request).await.unwrap_err().code
    }
}

fn id(n: u8) -> SessionId {
    SessionId::from_parts(Timestamp::from_millis(u64::from(n)), [n; 10])
}

fn invite(n: u8, to: &Client) -> SessionRequest {
    let offer = Bytes64(b"offer".to_vec());
    let to = to.party.uri.clone();
    SessionRequest::Invite(Invite { session: id(n), to, offer, media: RelayKind::Rtp })
}

fn answer(n: u8) -> SessionRequest {
    SessionRequest::Answer(Answer { session: id(n), answer: Bytes64(b"answer".to_vec()) })
}

fn alloc(n: u8) -> SessionRequest {
    SessionRequest::RelayAlloc(Alloc { session: id(n) })
}

fn hangup(n: u8) -> SessionRequest {
    let (reason, detail) = (HangupReason::Normal, None);
    SessionRequest::Hangup(Hangup { session: id(n), reason, detail })
}

/// A call of session 1 in state talk.
async fn talking(rig: &Rig) -> (Client, Client) {
    let mut a = rig.client(1, "a", Role::Primary).await;
    let mut b = rig.client(2, "b", Role::Primary).await;
    assert_eq!(rig.state(&a, invite(1, &b)).await, SessionState::Invite);
    assert_eq!(b.event().await, SessionState::Invite);
    assert_eq!(rig.state(&b, answer(1)).await, SessionState::Talk);
    assert_eq!(a.event().await, SessionState::Talk);
    (a, b)
}

#[tokio::test(start_paused = true)]
async fn a_call_from_invite_to_the_end_of_its_memory() {
    let rig = Rig::new(FakeRelay::default(), 10).await;
    let mut a = rig.client(1, "a", Role::Primary).await;
    let mut b = rig.client(2, "b1", Role::Primary).await;
    let mut b2 = rig.client(2, "b2", Role::Secondary).await;
    assert_eq!(rig.state(&a, invite(1, &b)).await, SessionState::Invite);
    assert!(b.full_event().await.offer.is_some());
    assert_eq!(b2.event().await, SessionState::Invite);
    let ringing = SessionRequest::Ringing(Ringing { session: id(1) });
    assert_eq!(rig.state(&b, ringing).await, SessionState::Ringing);
    assert_eq!(a.event().await, SessionState::Ringing);
    // The invite again is the same session.
    assert_eq!(rig.state(&a, invite(1, &b)).await, SessionState::Ringing);
    assert_eq!(rig.state(&b2, answer(1)).await, SessionState::Talk);
    assert!(a.full_event().await.answer.is_some());
    assert_eq!(b.full_event().await.reason, Some(HangupReason::AnsweredElsewhere));
    assert_eq!(rig.code(&b, answer(1)).await, ErrorCode::Gone);
    assert_eq!(rig.service.snapshot()[0].state, SessionState::Talk);
    assert_eq!(rig.state(&b2, hangup(1)).await, SessionState::Hangup);
    assert_eq!(a.event().await, SessionState::Hangup);
    assert_eq!(rig.service.snapshot().len(), 1);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(rig.service.snapshot().len(), 0);
    assert_eq!(rig.supervisor.population(), 0);
    assert_eq!(rig.code(&a, hangup(1)).await, ErrorCode::Gone);
}

#[tokio::test(start_paused = true)]
async fn timers_end_what_nobody_answers() {
    let rig = Rig::new(FakeRelay::default(), 10).await;
    let mut a = rig.client(1, "a", Role::Primary).await;
    let mut b = rig.client(2, "b", Role::Primary).await;
    rig.state(&a, invite(1, &b)).await;
    b.event().await;
    let begun = tokio::time::Instant::now();
    let end = a.full_event().await;
    assert_eq!((end.reason, begun.elapsed().as_secs()), (Some(HangupReason::NoAnswer), 20));
    assert_eq!(b.event().await, SessionState::Hangup);
}

#[tokio::test(start_paused = true)]
async fn legs_are_allocated_once_found_by_number_and_freed() {
    let rig = Rig::new(FakeRelay::default(), 10).await;
    let (a, b) = talking(&rig).await;
    assert_eq!(rig.leg(&a, alloc(1)).await, 10);
    assert_eq!(rig.leg(&b, alloc(1)).await, 11);
    assert_eq!(rig.leg(&a, SessionRequest::RelayRefresh(Refresh { leg: 10 })).await, 10);
    let foreign = SessionRequest::RelayFree(Free { leg: 11 });
    assert_eq!(rig.code(&a, foreign).await, ErrorCode::Gone);
    let unknown = SessionRequest::RelayFree(Free { leg: 99 });
    assert_eq!(rig.code(&a, unknown).await, ErrorCode::Gone);
    rig.state(&a, hangup(1)).await;
    assert_eq!(*rig.relay.freed.lock().unwrap(), [AllocationId(1)]);
    assert_eq!(rig.code(&a, alloc(1)).await, ErrorCode::Gone);
}

/// Messages in between neither delay a refresh nor add one.
#[tokio::test(start_paused = true)]
async fn legs_are_kept_alive_however_busy_the_session_is() {
    let rig = Rig::new(FakeRelay::default(), 10).await;
    let (a, _b) = talking(&rig).await;
    rig.leg(&a, alloc(1)).await;
    for n in 1..=11 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        rig.leg(&a, alloc(1)).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(*rig.relay.refreshed.lock().unwrap(), n / 4, "after {} s", n * 5);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_relay_is_told_and_a_dead_path_ends_the_call() {
    let rig = Rig::new(FakeRelay { fails: true, ..FakeRelay::default() }, 10).await;
    let (a, _b) = talking(&rig).await;
    assert_eq!(rig.code(&a, alloc(1)).await, ErrorCode::RelayLimit);
    let rig = Rig::new(FakeRelay::default(), 10).await;
    let (mut a, _b) = talking(&rig).await;
    rig.leg(&a, alloc(1)).await;
    let begun = tokio::time::Instant::now();
    let end = a.full_event().await;
    assert_eq!((end.reason, begun.elapsed().as_secs()), (Some(HangupReason::MediaFailed), 60));
    assert_eq!(*rig.relay.freed.lock().unwrap(), [AllocationId(1)]);
}

#[tokio::test(start_paused = true)]
async fn legs_that_the_relay_has_lost_are_made_anew() {
    let rig = Rig::new(FakeRelay { lost: true, ..FakeRelay::default() }, 10).await;
    let (a, _b) = talking(&rig).await;
    assert_eq!(rig.leg(&a, alloc(1)).await, 10);
    assert_eq!(rig.leg(&a, alloc(1)).await, 10);
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert_eq!(rig.leg(&a, alloc(1)).await, 20);
}

#[tokio::test(start_paused = true)]
async fn a_party_whose_connection_is_gone_is_lost() {
    let rig = Rig::new(FakeRelay::default(), 10).await;
    let a = rig.client(1, "a", Role::Primary).await;
    let mut b = rig.client(2, "b", Role::Primary).await;
    rig.state(&a, invite(1, &b)).await;
    assert_eq!(b.event().await, SessionState::Invite);
    // The caller's connection ends without telling the session.
    a.actor.stop_and_wait(None, None).await.unwrap();
    let ringing = SessionRequest::Ringing(Ringing { session: id(1) });
    assert_eq!(rig.state(&b, ringing).await, SessionState::Ringing);
    let begun = tokio::time::Instant::now();
    let end = b.full_event().await;
    assert_eq!((end.detail.as_deref(), begun.elapsed().as_secs()), (Some("caller-lost"), 30));
}

#[tokio::test(start_paused = true)]
async fn a_call_survives_a_reconnect_and_ends_without_one() {
    let rig = Rig::new(FakeRelay::default(), 10).await;
    let (a, mut b) = talking(&rig).await;
    rig.service.detached(a.party.clone());
    tokio::time::sleep(Duration::from_secs(29)).await;
    let back = rig.client(1, "a", Role::Primary).await;
    let states = rig.service.attached(back.party.clone(), vec![id(1), id(9)]).await.unwrap();
    assert_eq!(states.len(), 1);
    assert_eq!((states[0].state, states[0].answer.is_some()), (SessionState::Talk, true));
    // Another 30 s will pass before the 60 s are over in which media has to begin.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(rig.service.snapshot()[0].state, SessionState::Talk);
    rig.service.detached(back.party.clone());
    let end = b.full_event().await;
    assert_eq!(end.detail.as_deref(), Some("caller-lost"));
}

#[tokio::test(start_paused = true)]
async fn a_device_that_attaches_while_it_rings_is_told_once() {
    let rig = Rig::new(FakeRelay::default(), 10).await;
    let a = rig.client(1, "a", Role::Primary).await;
    let b = rig.client(2, "b", Role::Primary).await;
    rig.state(&a, invite(1, &b)).await;
    let mut late = rig.client(2, "late", Role::Secondary).await;
    let states = rig.service.attached(late.party.clone(), Vec::new()).await.unwrap();
    assert!(states[0].offer.is_some());
    assert_eq!(rig.state(&late, answer(1)).await, SessionState::Talk);
    assert!(late.events.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn glare_drain_and_absence_are_told_apart() {
    let rig = Rig::new(FakeRelay::default(), 100).await;
    let a = rig.client(1, "a", Role::Primary).await;
    let b = rig.client(2, "b", Role::Primary).await;
    let detail = async |from: &Client, request| match rig.ask(from, request).await {
        Ok(SessionReply::State(state)) => state.detail.unwrap_or_default(),
        other => panic!("{other:?}"),
    };
    rig.state(&a, invite(1, &b)).await;
    assert_eq!(detail(&b, invite(2, &a)).await, "glare");
    let c = rig.client(3, "c", Role::Primary).await;
    let d = rig.client(4, "d", Role::Primary).await;
    rig.context.directory.remove(&d.party.account, &d.party.uri, d.party.connection.id());
    let absent = rig.state(&c, invite(52, &d)).await;
    assert_eq!(absent, SessionState::ResponderNotConnected);
    let nobody = Uri::parse("+46701").unwrap();
    let SessionRequest::Invite(mut unknown) = invite(53, &d) else { panic!() };
    unknown.to = nobody;
    let state = rig.state(&c, SessionRequest::Invite(unknown)).await;
    assert_eq!(state, SessionState::ResponderNotFound);
    rig.context.set_drain_state(DrainState::Draining);
    assert_eq!(detail(&c, invite(54, &d)).await, "node-drain");
}

#[tokio::test(start_paused = true)]
async fn the_population_is_the_limit_of_sessions() {
    let rig = Rig::new(FakeRelay::default(), 1).await;
    let (a, b) = talking(&rig).await;
    let c = rig.client(3, "c", Role::Primary).await;
    assert_eq!(rig.code(&c, invite(2, &b)).await, ErrorCode::Capacity);
    assert_eq!(rig.state(&a, hangup(1)).await, SessionState::Hangup);
}

#[tokio::test(start_paused = true)]
async fn operators_and_shutdown_end_calls() {
    let rig = Rig::new(FakeRelay::default(), 10).await;
    let (mut a, mut b) = talking(&rig).await;
    assert!(rig.service.end(id(1)) && !rig.service.end(id(7)));
    assert_eq!(a.full_event().await.reason, Some(HangupReason::Operator));
    assert_eq!(b.full_event().await.reason, Some(HangupReason::Operator));
    let rig = Rig::new(FakeRelay::default(), 10).await;
    let (mut a, b) = talking(&rig).await;
    rig.service.end_user(&b.party.account, &b.party.uri);
    assert_eq!(a.full_event().await.detail.as_deref(), Some("blacklisted"));
    let rig = Rig::new(FakeRelay::default(), 10).await;
    let (mut a, _b) = talking(&rig).await;
    rig.leg(&a, alloc(1)).await;
    rig.supervisor.drain(Duration::from_secs(5)).await.unwrap();
    assert_eq!(a.full_event().await.reason, Some(HangupReason::Shutdown));
    assert_eq!(*rig.relay.freed.lock().unwrap(), [AllocationId(1)]);
    assert_eq!(rig.service.snapshot().len(), 0);
}
