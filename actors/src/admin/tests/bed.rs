//! A node's admin side without the rest of the node.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crs_admin_api::command::health_check::{Health, Test};
use crs_admin_api::{AdminError, Reply, Request};
use crs_keys::seal_at_rest::Sealer;
use crs_ops::{Notifier, SystemEvent};
use crs_proto::session::Summary;
use crs_proto::wire::life::Role;
use crs_relay::RelayCounters;
use crs_storage::command::control::{ControlCommand, ControlReply, ControlState};
use crs_storage::store::{
    Confirmed, GroupStatus, PutBlob, ReadError, StoreStatus, UserCounters, WriteError,
};
use crs_types::{
    AccountId, BlobHash, ClientAddr, Clock, ConnectionId, DeviceId, Generation, GroupId, Mono,
    NodeId, NodeName, OsRng, Secret, Slot, Timestamp, Uri,
};
use futures_util::future::BoxFuture;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::mpsc::Receiver;

use crate::accounts::{AccountRegistry, BlobReader, ShownKeys, Span, UpdateBlobs, load};
use crate::admin::audit::Peer;
use crate::admin::connection::Conversation;
use crate::admin::{
    AdminContext, AdminParts, AdminStore, HealthProbe, NodeFacts, OperatorCommands, RelayResource,
    RelayView, SessionsView, ShownCertificate, Watched, commands,
};
use crate::connection::{ConnectionHandle, ConnectionMsg};
use crate::context::{ContextParts, NodeContext};
use crate::directory::{KeyExchange, LocalDirectory, Registration};
use crate::handle::{Bounded, Gate, Handle};
use crate::metrics::{NodeMetrics, QueueMetrics};
use crate::settings::Settings;
use crate::trace::TraceHub;

/// 21 November 2026, noon: late enough for warnings about the next month.
pub(super) const NOW: Timestamp = Timestamp::from_secs(1_795_262_400);

#[derive(Debug)]
pub(super) struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn mono(&self) -> Mono {
        Mono::from_micros(60_000_000)
    }
}

/// A certificate of the node's own that is good for 60 days, and nothing to remark on.
fn watched() -> Watched {
    let watched = Watched::default();
    let end = NOW.plus(std::time::Duration::from_secs(60 * 86_400));
    watched.update(|found| found.certificate = Some(ShownCertificate { end, own: true }));
    watched
}

fn commands() -> OperatorCommands {
    OperatorCommands {
        check: "crs-node check --config /etc/crs/crs.conf".to_owned(),
        reload: "systemctl reload crs".to_owned(),
        restart: "systemctl restart crs".to_owned(),
        log: "tail -n 50 /var/log/crs/crs.log".to_owned(),
        relay_log: "tail -n 50 /var/log/crs/crs_relay.log".to_owned(),
        open_files: "systemctl edit crs   # [Service] LimitNOFILE=65536".to_owned(),
        make_folder: "install -d -o crsuser -g crsuser -m 750".to_owned(),
    }
}

/// The store: control state by its pure `apply`, blobs in a map, nothing else.
pub(super) struct MemoryStore {
    state: Mutex<ControlState>,
    blobs: Arc<Blobs>,
    registry: Arc<AccountRegistry>,
    pub(super) quorum: Mutex<bool>,
    /// A proposal gets no answer.
    pub(super) hangs: Mutex<bool>,
    /// A change is confirmed, but this node does not load it.
    pub(super) lags: Mutex<bool>,
    pub(super) counters: Mutex<Vec<UserCounters>>,
}

#[derive(Default)]
struct Blobs(Mutex<BTreeMap<BlobHash, Vec<u8>>>);

impl Blobs {
    fn get(&self, blob: BlobHash) -> std::io::Result<Vec<u8>> {
        let found = self.0.lock().unwrap().get(&blob).cloned();
        found.ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

impl UpdateBlobs for Blobs {
    fn load(&self, blob: BlobHash) -> BoxFuture<'static, std::io::Result<Vec<u8>>> {
        let found = self.get(blob);
        Box::pin(async { found })
    }
}

/// No account has an update file.
pub(super) struct NoBlobs;

impl UpdateBlobs for NoBlobs {
    fn load(&self, _: BlobHash) -> BoxFuture<'static, std::io::Result<Vec<u8>>> {
        Box::pin(async { Err(std::io::ErrorKind::NotFound.into()) })
    }
}

impl BlobReader for Blobs {
    fn read(&self, _: BlobHash, _: Vec<Span>) -> BoxFuture<'static, std::io::Result<Vec<Vec<u8>>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

impl AdminStore for MemoryStore {
    fn control(&self) -> Arc<ControlState> {
        Arc::new(self.state.lock().unwrap().clone())
    }

    fn propose(
        &self,
        command: ControlCommand,
    ) -> BoxFuture<'_, Result<Confirmed<ControlReply>, WriteError>> {
        Box::pin(async move {
            if !*self.quorum.lock().unwrap() {
                return Err(WriteError::NoQuorum(GroupId::CONTROL));
            }
            if *self.hangs.lock().unwrap() {
                return std::future::pending().await;
            }
            let (reply, state) = {
                let mut state = self.state.lock().unwrap();
                (state.apply(&command), state.clone())
            };
            if !*self.lags.lock().unwrap() {
                let view = load(&state, &self.registry.view(), self.blobs.as_ref()).await;
                self.registry.swap(view);
            }
            Ok(Confirmed { reply, copies: 1 })
        })
    }

    fn put_blob(&self, bytes: Arc<Vec<u8>>) -> BoxFuture<'_, Result<PutBlob, WriteError>> {
        let mut blobs = self.blobs.0.lock().unwrap();
        // Not a hash, but different for each blob of a test.
        let hash = BlobHash([u8::try_from(blobs.len()).unwrap() + 1; 32]);
        let known = blobs.iter().find(|(_, known)| **known == *bytes).map(|(hash, _)| *hash);
        let hash = known.unwrap_or(hash);
        blobs.insert(hash, bytes.to_vec());
        Box::pin(async move { Ok(PutBlob::new(hash)) })
    }

    fn get_blob(&self, hash: BlobHash) -> BoxFuture<'_, Result<Vec<u8>, ReadError>> {
        let found = self.blobs.get(hash).map_err(|_| ReadError::NoBlob(hash));
        Box::pin(async move { found })
    }

    fn counters(
        &self,
        _: Option<AccountId>,
    ) -> BoxFuture<'_, Result<Vec<UserCounters>, ReadError>> {
        let counters = self.counters.lock().unwrap().clone();
        Box::pin(async move { Ok(counters) })
    }

    fn group_of(&self, uri: &Uri) -> GroupId {
        Slot::of(uri).group(4)
    }

    fn status(&self) -> StoreStatus {
        let leader = self.quorum.lock().unwrap().then_some(NodeId(1));
        let group = |group| GroupStatus {
            group: GroupId(group),
            leader,
            voters: vec![NodeId(1)],
            term: 1,
            last_log: 10,
            applied: 9,
            snapshot: 0,
            log_bytes: 0,
            queued: 0,
            refused: 0,
        };
        StoreStatus {
            groups: (0..=4).map(group).collect(),
            log_bytes: 0,
            table_bytes: 0,
            body_bytes: 0,
            free_bytes: 10 << 30,
            disk_full: false,
            last_sync: Some(NOW),
            syncs: 1,
            last_sync_micros: 300,
            torn_tails: 0,
            rebuilds: 0,
        }
    }
}

#[derive(Default)]
pub(super) struct Calls {
    pub(super) sessions: Mutex<Vec<Summary>>,
    pub(super) ended: Mutex<Vec<Uri>>,
}

impl SessionsView for Calls {
    fn snapshot(&self) -> Vec<Summary> {
        self.sessions.lock().unwrap().clone()
    }

    fn end_user(&self, _: &AccountId, uri: &Uri) {
        self.ended.lock().unwrap().push(uri.clone());
    }
}

struct Media;

impl RelayView for Media {
    fn running(&self) -> bool {
        true
    }

    fn counters(&self) -> RelayCounters {
        RelayCounters { sent: 7, received_too_short: 3, ..RelayCounters::default() }
    }

    fn resources(&self) -> BoxFuture<'static, Vec<RelayResource>> {
        Box::pin(async { Vec::new() })
    }
}

struct Probe;

impl HealthProbe for Probe {
    fn system(&self, _: bool) -> BoxFuture<'static, Vec<Test>> {
        Box::pin(async { Vec::new() })
    }

    fn account(&self, account: AccountId, local_only: bool) -> BoxFuture<'static, Vec<Test>> {
        let description = format!("{account} local {local_only}");
        let test = Test { name: "call".to_owned(), result: Health::Ok, description, ms: 8 };
        Box::pin(async move { vec![test] })
    }
}

/// An actor in place of a client connection: keeps what it is told.
struct Told;

impl Actor for Told {
    type Msg = Bounded<ConnectionMsg>;
    type State = Arc<Mutex<Vec<String>>>;
    type Arguments = Self::State;

    async fn pre_start(
        &self,
        _: ActorRef<Self::Msg>,
        told: Self::State,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(told)
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        message: Self::Msg,
        told: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let word = format!("{:?}", message.take());
        told.lock().unwrap().push(word);
        Ok(())
    }
}

pub(super) struct Bed {
    pub(super) context: Arc<AdminContext>,
    pub(super) store: Arc<MemoryStore>,
    pub(super) calls: Arc<Calls>,
    pub(super) hub: Arc<TraceHub>,
    pub(super) events: Mutex<Receiver<SystemEvent>>,
    pub(super) watched: Arc<Watched>,
    pub(super) root: tempfile::TempDir,
}

impl Bed {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let registry = Arc::new(AccountRegistry::new());
        let blobs = Arc::new(Blobs::default());
        let hub = TraceHub::new(metrics::Counter::noop(), metrics::Counter::noop());
        let node = node(&registry, &blobs, &hub);
        let store = Arc::new(MemoryStore {
            state: Mutex::default(),
            blobs,
            registry,
            quorum: Mutex::new(true),
            hangs: Mutex::default(),
            lags: Mutex::default(),
            counters: Mutex::default(),
        });
        let calls = Arc::new(Calls::default());
        let pool_key = Secret::new(vec![7; 32]);
        let (notifier, events) = Notifier::channel();
        let watched = Arc::new(watched());
        let context = AdminContext::new(AdminParts {
            node,
            store: Arc::clone(&store) as _,
            sessions: Arc::clone(&calls) as _,
            relay: Some(Arc::new(Media)),
            hub: Arc::clone(&hub),
            sealer: Arc::new(Sealer::new(&[&pool_key]).unwrap()),
            probe: Arc::new(Probe),
            notifier: Some(notifier),
            facts: NodeFacts {
                accounts_dir: root.path().join("accounts"),
                data_dir: root.path().to_path_buf(),
                disk_min_free: 256 << 20,
                notify_script: None,
                listen: Vec::new(),
                watched: Arc::clone(&watched),
                started: Mono::from_micros(0),
                open_files_wanted: 64,
                commands: commands(),
            },
        });
        Self { context, store, calls, hub, events: Mutex::new(events), watched, root }
    }

    /// The system events since the last time.
    pub(super) fn events(&self) -> Vec<SystemEvent> {
        let mut events = self.events.lock().unwrap();
        std::iter::from_fn(|| events.try_recv().ok()).collect()
    }

    pub(super) async fn ask(&self, request: Request) -> Result<Reply, AdminError> {
        commands::run(&self.context, request).await
    }

    /// Runs a conversation over a duplex stream; what is left is the operator's end.
    pub(super) fn converse(&self) -> (tokio::io::DuplexStream, tokio::task::JoinHandle<()>) {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (reader, writer) = tokio::io::split(theirs);
        let peer = Peer { uid: 0, pid: Some(1) };
        let conversation = Conversation::new(reader, writer, peer, Arc::clone(&self.context));
        (ours, tokio::spawn(conversation.run()))
    }

    /// Attaches a client whose connection keeps what it is told.
    pub(super) async fn attach(
        &self,
        account: &str,
        uri: &str,
        id: u64,
    ) -> Arc<Mutex<Vec<String>>> {
        let told = Arc::new(Mutex::default());
        let (actor, _) = Told::spawn(None, Told, Arc::clone(&told)).await.unwrap();
        let gate = Gate::new(16, QueueMetrics::default());
        let connection = ConnectionId(id);
        let registration = Registration {
            account: AccountId::parse(account).unwrap(),
            uri: Uri::parse(uri).unwrap(),
            role: Role::Primary,
            device: DeviceId::parse(&format!("device-{id}")).unwrap(),
            connection,
            handle: ConnectionHandle::new(connection, Handle::new(actor, gate)),
            since: NOW.minus(std::time::Duration::from_secs(90)),
            version: "crs-client 0.1.0".into(),
            addr: ClientAddr::new("192.0.2.17:50312".parse().unwrap()),
            key_exchange: KeyExchange::Hybrid,
            keys: ShownKeys { generation: Generation(1), issuer: None },
            node: NodeName::parse("crs1").unwrap(),
        };
        self.context.node.directory.register(Arc::new(registration)).unwrap();
        told
    }
}

fn node(
    registry: &Arc<AccountRegistry>,
    blobs: &Arc<Blobs>,
    hub: &Arc<TraceHub>,
) -> Arc<NodeContext> {
    NodeContext::new(ContextParts {
        name: NodeName::parse("crs1").unwrap(),
        id: NodeId(1),
        version: "crs-node 0.1.0".to_owned(),
        clock: Arc::new(FixedClock),
        rng: Box::new(OsRng),
        settings: Settings::default(),
        accounts: Arc::clone(registry),
        blobs: Arc::clone(blobs) as _,
        directory: Arc::new(LocalDirectory::new()),
        trace: Arc::clone(hub) as _,
        metrics: NodeMetrics::default(),
    })
}

pub(super) fn account(id: &str) -> AccountId {
    AccountId::parse(id).unwrap()
}

pub(super) fn uri(number: &str) -> Uri {
    Uri::parse(number).unwrap()
}

/// Waits, with a limit, until a connection was told these words.
pub(super) async fn told(words: &Arc<Mutex<Vec<String>>>, wanted: &[&str]) {
    let looked = async {
        while words.lock().unwrap().as_slice() != wanted {
            tokio::task::yield_now().await;
        }
    };
    let limit = std::time::Duration::from_secs(60);
    if tokio::time::timeout(limit, looked).await.is_err() {
        panic!("expected {wanted:?}, got {:?}", words.lock().unwrap());
    }
}
