//! A whole node over a real store on a fake disk: a restart loses nothing, the drain is in order,
//! a failed store ends the node.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crs_cluster::Unreachable;
use crs_keys::pool_ca::{NodeSubject, PoolCa};
use crs_proto::session::SessionConfig;
use crs_storage::command::control::{ApplyUpdate, CreateAccount, UpdateRecord};
use crs_storage::command::{ControlCommand, Sealed};
use crs_storage::testing::{FakeDisk, StallingDisk};
use crs_storage::{Store, StoreConfig, Tables};
use crs_types::disk::Disk;
use crs_types::rng::SeededRng;
use crs_types::{Clock, MessageId, Mono, NodeId, NodeName, OsRng, Period, Secret, Timestamp};
use metrics::Counter;
use serde_json::json;

use super::drain::STORE_TIMEOUT;
use super::{DrainPlan, Node, NodeParts};
use crate::listener::NodeCertificate;
use crate::session::SessionMetrics;
use crate::settings::Settings;
use crate::store::Arrivals;
use crate::testing::{Client, Counts, Domain, NOW, Reach, User, seconds_of, until};
use crate::trace::TraceHub;

mod draining;
mod gone;

/// November 2026 for ever; intervals are real.
struct Calendar(crs_types::SystemClock);

impl Clock for Calendar {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn mono(&self) -> Mono {
        self.0.mono()
    }
}

struct Rig {
    node: Node,
    hub: Arc<TraceHub>,
    counts: Counts,
    ca: PoolCa,
}

impl Reach for Rig {
    fn addr(&self) -> SocketAddr {
        self.node.addresses()[0]
    }

    fn ca(&self) -> &PoolCa {
        &self.ca
    }
}

impl Rig {
    async fn start(disk: &FakeDisk) -> Self {
        Self::start_on(Arc::new(disk.clone())).await
    }

    async fn start_on(disk: Arc<dyn Disk>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(Calendar(crs_types::SystemClock::new()));
        let arrivals = Arrivals::new();
        let config = StoreConfig {
            mailbox_groups: 2,
            min_free_bytes: 0,
            segment_bytes: 256 << 10,
            reserve_bytes: 512 << 10,
            tables: Tables::Memory,
            on_confirm: arrivals.confirm_hook(),
            ..StoreConfig::default()
        };
        let opened = Store::open(config, disk, Arc::clone(&clock), Unreachable, arrivals.hook());
        let store = opened.await.unwrap();
        let mut rng = SeededRng::new(1);
        let ca = PoolCa::generate(&mut rng, NOW).unwrap();
        let name = NodeName::parse("crs1").unwrap();
        let dns = vec!["localhost".to_owned()];
        let subject = NodeSubject { name: name.clone(), dns, ips: Vec::new() };
        let identity = ca.issue_node(&subject, &mut rng, NOW).unwrap();
        let hub = TraceHub::new(Counter::noop(), Counter::noop());
        let counts = Counts::default();
        let node = Node::build(NodeParts {
            name,
            id: NodeId(1),
            version: "crs-test".to_owned(),
            clock,
            rng: Box::new(OsRng),
            settings: Settings::default(),
            metrics: counts.metrics(),
            session_metrics: SessionMetrics::default(),
            session_config: SessionConfig::default(),
            hub: Arc::clone(&hub),
            store,
            arrivals,
            certificate: NodeCertificate::new(identity).unwrap(),
            pool_keys: vec![Secret::generate(&mut rng, 32)],
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            pool: Vec::new(),
            fd_limit: 20_000,
            relay: None,
            admin: None,
            echo: false,
        });
        let node = node.await.unwrap();
        node.spawn().await.unwrap();
        Self { node, hub, counts, ca }
    }

    /// Creates the account and applies its update files, as `crs-cli apply` would.
    async fn apply(&self, domain: &Domain, create: bool) {
        let store = self.node.store();
        if create {
            let create = CreateAccount {
                id: domain.id.clone(),
                secret: Sealed::new(vec![0; 8]),
                cms_key: None,
                time: NOW,
            };
            let command = ControlCommand::CreateAccount(create);
            store.propose_control(command).await.unwrap().reply.into_result().unwrap();
        }
        for (_, bytes) in domain.contents() {
            let file = crs_keys::update::open_inner(&bytes).unwrap();
            let size = bytes.len() as u64;
            let put = store.put_blob(Arc::new(bytes)).await.unwrap();
            let blob = put.hash();
            let serial = store.control().version;
            let (period, created) = (file.period, file.created);
            let update = UpdateRecord { period, serial, created, applied: NOW, blob, size };
            let command = ControlCommand::ApplyUpdate(ApplyUpdate {
                account: domain.id.clone(),
                update,
                cms_key: vec![7; 32],
                replace_key: false,
                current: Period::at(NOW),
            });
            store.propose_control(command).await.unwrap().reply.into_result().unwrap();
            put.decided();
        }
        let version = store.control().version;
        let accounts = Arc::clone(&self.node.context().accounts);
        until("the accounts are loaded", move || accounts.view().version >= version).await;
    }

    async fn attach(&self, user: &User, device: &str) -> Client {
        let mut client = Client::connect(self, Some(user)).await.unwrap();
        let reply = client.ask("attach", json!({"role": "primary", "device": device})).await;
        assert_eq!(reply["ok"], true, "{reply}");
        client.early.insert(0, reply);
        client
    }
}

fn mid(n: u8) -> String {
    MessageId::from_parts(NOW, [n; 10]).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_confirmed_is_there_after_a_restart_and_acks_come_back() {
    let mut acme = Domain::new("acme");
    let (anna, bo) = (acme.user("+46701"), acme.user("+46702"));
    let disk = FakeDisk::default();
    let rig = Rig::start(&disk).await;
    rig.apply(&acme, true).await;
    let mut sender = rig.attach(&anna, "a").await;
    let post = json!({"mid": mid(1), "to": "+46702", "body": "aGVq"});
    let reply = sender.ask("msg.post", post.clone()).await;
    assert_eq!((&reply["ok"], &reply["copies"]), (&json!(true), &json!(1)), "{reply}");
    drop(sender);
    rig.node.close().await;

    let rig = Rig::start(&disk).await;
    let mut sender = rig.attach(&anna, "a").await;
    assert_eq!(sender.ask("msg.post", post).await["duplicate"], true);
    let mut receiver = rig.attach(&bo, "b").await;
    assert_eq!(receiver.early.remove(0)["waiting"], 1);
    let page = receiver.ask("msg.fetch", json!({})).await;
    assert_eq!(
        (&page["items"][0]["mid"], &page["items"][0]["body"]),
        (&json!(mid(1)), &json!("aGVq"))
    );
    let n = page["items"][0]["n"].clone();
    assert_eq!(receiver.ask("msg.ack", json!({"n": [n]})).await["removed"], 1);
    // The receipt is routed back to the attached sender.
    assert_eq!(sender.event("msg.acked").await["mid"], mid(1));
    let receipts = sender.ask("msg.fetch", json!({})).await;
    assert_eq!(receipts["items"][0]["kind"], "receipt", "{receipts}");
    // A message for an attached user wakes it.
    sender.ask("msg.post", json!({"mid": mid(2), "to": "+46702", "body": ""})).await;
    receiver.event("msg.new").await;
    rig.node.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_and_a_deletion_reach_attached_clients_at_once() {
    let mut acme = Domain::new("acme");
    let (anna, bo) = (acme.user("+46701"), acme.user("+46702"));
    let rig = Rig::start(&FakeDisk::default()).await;
    rig.apply(&acme, true).await;
    let (mut revoked, mut deleted) = (rig.attach(&anna, "a").await, rig.attach(&bo, "b").await);
    acme.user_of("+46701", Period::at(NOW), 2);
    rig.apply(&acme, false).await;
    assert_eq!(revoked.event("unregistered").await["reason"], "update-required");
    assert_eq!(revoked.closed().await, Some(1008));
    let delete = crs_storage::command::control::DeleteAccount { id: acme.id.clone() };
    rig.node.store().propose_control(ControlCommand::DeleteAccount(delete)).await.unwrap();
    assert_eq!(deleted.event("unregistered").await["reason"], "account-deleted");
    assert_eq!(deleted.closed().await, Some(1008));
    rig.node.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_drain_tells_clients_and_leaves_nobody() {
    let mut acme = Domain::new("acme");
    let (anna, bo) = (acme.user("+46701"), acme.user("+46702"));
    let rig = Rig::start(&FakeDisk::default()).await;
    rig.apply(&acme, true).await;
    let mut clients = [rig.attach(&anna, "a").await, rig.attach(&bo, "b").await];
    let plan = DrainPlan { spread: Duration::from_millis(20), ..DrainPlan::NOW };
    let draining = rig.node.drain(plan);
    let watching = async {
        for client in &mut clients {
            assert_eq!(client.event("unregistered").await["reason"], "node-drain");
            assert_eq!(client.closed().await, Some(1001));
        }
    };
    tokio::join!(draining, watching);
    assert_eq!(rig.node.context().directory.count(), 0);
    let capacity = Arc::clone(rig.node.capacity());
    until("every place is free", move || capacity.count() == 0).await;
    rig.node.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_without_a_drain_still_tells_the_clients() {
    let mut acme = Domain::new("acme");
    let anna = acme.user("+46701");
    let rig = Rig::start(&FakeDisk::default()).await;
    rig.apply(&acme, true).await;
    let mut client = rig.attach(&anna, "a").await;
    let watching = async {
        assert_eq!(client.event("unregistered").await["reason"], "node-drain");
        assert_eq!(client.closed().await, Some(1001));
    };
    tokio::join!(rig.node.close(), watching);
}

/// The log has everything that was confirmed; the tables are made anew at the next start.
#[tokio::test]
async fn a_store_that_does_not_close_does_not_keep_the_node() {
    let acme = Domain::new("acme");
    let disk = StallingDisk::default();
    let rig = Rig::start_on(Arc::new(disk.clone())).await;
    rig.apply(&acme, true).await;
    let stall = disk.stall();
    let store = rig.node.store().clone();
    let writing = tokio::spawn(async move {
        let id = Domain::new("other").id;
        let secret = Sealed::new(vec![0; 8]);
        let create = CreateAccount { id, secret, cms_key: None, time: NOW };
        store.propose_control(ControlCommand::CreateAccount(create)).await
    });
    let stalled = disk.clone();
    tokio::task::spawn_blocking(move || stalled.wait_stalled()).await.unwrap();
    tokio::time::pause();
    let seconds = seconds_of(rig.node.close(), 10 * STORE_TIMEOUT).await;
    let limit = STORE_TIMEOUT.as_secs();
    assert!((limit..limit + 10).contains(&seconds), "{seconds} s");
    drop(stall);
    let _ended = writing.await;
}
