//! A node's worth of actors for tests: real listener, TLS and connection actors on loopback,
//! accounts made by the real key code, services that record what they are asked.

mod client;
mod counts;
mod services;
mod users;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crs_keys::pool_ca::{NodeSubject, PoolCa};
use crs_types::rng::SeededRng;
use crs_types::{Clock, NodeId, NodeName, OsRng, Secret, SystemClock, Timestamp};
use tokio::net::TcpListener;

pub(crate) use client::{Client, Reach, Refusal, config, config_with};
pub(crate) use counts::Counts;
pub(crate) use services::Fake;
pub(crate) use users::{Domain, User};

use crate::accounts::{AccountRegistry, AccountsView};
use crate::context::{ContextParts, NodeContext, Services};
use crate::directory::LocalDirectory;
use crate::listener::{
    self, Capacity, Failures, ListenerShared, Newcomers, NodeCertificate, RefusedLines,
    TestClients, TlsSettings,
};
use crate::metrics::NodeMetrics;
use crate::settings::Settings;
use crate::supervisor::{Intensity, SupervisorConfig, SupervisorHandle};
use crate::trace::{TraceEvent, TraceSink};

/// Where every test's calendar stands: 15 November 2026, noon.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_794_744_000);

/// Wall clock fixed by the test, monotonic clock of tokio (which tests may pause).
pub(crate) struct TestClock {
    wall: std::sync::atomic::AtomicU64,
    origin: tokio::time::Instant,
}

/// Keeps all trace events.
#[derive(Default)]
pub(crate) struct Recorder(std::sync::Mutex<Vec<TraceEvent>>);

/// A node on loopback.
pub(crate) struct Bed {
    pub(crate) context: Arc<NodeContext>,
    pub(crate) addr: SocketAddr,
    pub(crate) ca: PoolCa,
    pub(crate) pool_key: Secret,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) fake: Fake,
    pub(crate) trace: Arc<Recorder>,
    pub(crate) counts: Counts,
    pub(crate) connections: SupervisorHandle,
    pub(crate) capacity: Arc<Capacity>,
    _root: SupervisorHandle,
}

/// What a test may choose.
pub(crate) struct Options {
    pub(crate) settings: Settings,
    pub(crate) fd_limit: usize,
    pub(crate) handshakes: usize,
    pub(crate) echo: bool,
    pub(crate) limit_loopback: bool,
}

impl Default for Options {
    fn default() -> Self {
        let settings = Settings::default();
        let (fd_limit, handshakes) = (20_000, listener::HANDSHAKES_MAX);
        Self { settings, fd_limit, handshakes, echo: false, limit_loopback: false }
    }
}

impl TestClock {
    pub(crate) fn set(&self, wall: Timestamp) {
        self.wall.store(wall.as_millis(), std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall.load(std::sync::atomic::Ordering::SeqCst))
    }

    fn mono(&self) -> crs_types::Mono {
        let micros = self.origin.elapsed().as_micros();
        crs_types::Mono::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

impl TraceSink for Recorder {
    fn enabled(&self) -> bool {
        true
    }

    fn emit(&self, event: TraceEvent) {
        self.0.lock().unwrap().push(event);
    }
}

impl Recorder {
    pub(crate) fn take(&self) -> Vec<TraceEvent> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Bed {
    pub(crate) async fn start(domains: &[&Domain], options: Options) -> Self {
        let clock = Arc::new(TestClock {
            wall: NOW.as_millis().into(),
            origin: tokio::time::Instant::now(),
        });
        let fake = Fake::default();
        let trace = Arc::new(Recorder::default());
        let counts = Counts::default();
        let parts = (&clock, &fake, &trace, &counts);
        let context = context(parts, options.settings.clone(), domains);
        let root = supervisor("root", None).await;
        let connections = supervisor("connections", Some(root.cell())).await;
        let mut rng = SeededRng::new(7);
        let ca = PoolCa::generate(&mut rng, NOW).unwrap();
        let pool_key = Secret::generate(&mut rng, 32);
        let tls = tls(&context, &ca, &pool_key);
        let capacity = Capacity::new();
        let shared = Arc::new(ListenerShared {
            context: Arc::clone(&context),
            tls,
            connections: connections.clone(),
            capacity: Arc::clone(&capacity),
            failures: Failures::new(),
            newcomers: Newcomers::new(),
            refused: RefusedLines::default(),
            fd_limit: options.fd_limit,
            handshakes: options.handshakes,
            pool: Arc::new([]),
            echo: options.echo,
            limit_loopback: options.limit_loopback,
        });
        let socket = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let addr = socket.local_addr().unwrap();
        root.start_child(listener::child(socket, shared)).await.unwrap();
        Self {
            context,
            addr,
            ca,
            pool_key,
            clock,
            fake,
            trace,
            counts,
            connections,
            capacity,
            _root: root,
        }
    }

    /// Replaces what the node knows about accounts.
    pub(crate) fn swap(&self, domains: &[&Domain]) {
        let version = self.context.accounts.view().version + 1;
        self.context.accounts.swap(view(domains, version));
        self.fake.put(domains);
    }

    pub(crate) async fn connect(&self, user: &User) -> Client {
        Client::connect(self, Some(user)).await.unwrap()
    }

    pub(crate) async fn attach(&self, user: &User, role: &str, device: &str) -> Client {
        let mut client = self.connect(user).await;
        let reply = client.ask("attach", serde_json::json!({"role": role, "device": device})).await;
        assert_eq!(reply["ok"], true, "{reply}");
        client
    }
}

impl Reach for Bed {
    fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn ca(&self) -> &PoolCa {
        &self.ca
    }
}

/// Waits, with a limit, for what other tasks are about to do.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..5_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{what} did not happen");
}

fn context(
    (clock, fake, trace, counts): (&Arc<TestClock>, &Fake, &Arc<Recorder>, &Counts),
    settings: Settings,
    domains: &[&Domain],
) -> Arc<NodeContext> {
    let accounts = Arc::new(AccountRegistry::new());
    accounts.swap(view(domains, 1));
    fake.put(domains);
    let context = NodeContext::new(ContextParts {
        name: NodeName::parse("crs1").unwrap(),
        id: NodeId(1),
        version: "crs-test".to_owned(),
        clock: Arc::clone(clock) as _,
        rng: Box::new(OsRng),
        settings,
        accounts,
        blobs: Arc::new(fake.clone()),
        directory: Arc::new(LocalDirectory::new()),
        trace: Arc::clone(trace) as _,
        metrics: counts.metrics(),
    });
    let services = Services {
        sessions: Arc::new(fake.clone()),
        mail: Arc::new(fake.clone()),
        updates: Arc::new(fake.clone()),
    };
    assert!(context.set_services(services));
    context
}

fn view(domains: &[&Domain], version: u64) -> AccountsView {
    let accounts = domains.iter().map(|d| (d.id.clone(), Arc::new(d.account()))).collect();
    AccountsView { version, accounts }
}

async fn supervisor(name: &'static str, parent: Option<ractor::ActorCell>) -> SupervisorHandle {
    let config = SupervisorConfig { name, intensity: Intensity::default(), population: 1000 };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    SupervisorHandle::start(config, clock, &NodeMetrics::default(), parent).await.unwrap()
}

fn tls(context: &Arc<NodeContext>, ca: &PoolCa, pool_key: &Secret) -> TlsSettings {
    let subject = NodeSubject {
        name: context.name.clone(),
        dns: vec!["localhost".to_owned()],
        ips: vec!["127.0.0.1".parse().unwrap()],
    };
    let identity = ca.issue_node(&subject, &mut SeededRng::new(8), NOW).unwrap();
    let certificate = NodeCertificate::new(identity).unwrap();
    let test_clients = TestClients::new(vec![pool_key.clone()]);
    let accounts = Arc::clone(&context.accounts);
    TlsSettings::new(certificate, accounts, Arc::clone(&context.clock), test_clients).unwrap()
}

/// Seconds of a paused clock that a future takes which waits for other threads, too: while those
/// are busy the clock does not move by itself.
pub(crate) async fn seconds_of<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
    limit: Duration,
) -> u64 {
    let running = tokio::spawn(future);
    for second in 0..limit.as_secs() {
        // Everything that can go on without time passing goes on first.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        if running.is_finished() {
            return second;
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    panic!("not within {limit:?}");
}
