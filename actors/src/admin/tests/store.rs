//! The commands against the real store: what is confirmed is in force and survives a restart.

use std::sync::Arc;

use crs_admin_api::command::*;
use crs_admin_api::{Code, Reply, Request};
use crs_cluster::Unreachable;
use crs_storage::StoreConfig;
use crs_storage::store::{Store, Tables};
use crs_storage::testing::FakeDisk;
use crs_types::Clock;
use crs_types::disk::Disk;

use super::bed::{Bed, FixedClock, NoBlobs, account, uri};
use crate::accounts::load;
use crate::admin::{AdminContext, AdminParts, commands};

async fn open(disk: &Arc<FakeDisk>) -> Store {
    let config = StoreConfig { tables: Tables::Memory, ..StoreConfig::default() };
    let disk: Arc<dyn Disk> = Arc::clone(disk) as _;
    let clock: Arc<dyn Clock> = Arc::new(FixedClock);
    Store::open(config, disk, clock, Unreachable, Arc::new(|_| {})).await.unwrap()
}

/// The admin side on a store, with the task that loads accounts as they change.
fn admin(bed: &Bed, store: &Store) -> (Arc<AdminContext>, tokio::task::JoinHandle<()>) {
    let context = AdminContext::new(AdminParts {
        node: Arc::clone(&bed.context.node),
        store: Arc::new(store.clone()),
        sessions: Arc::clone(&bed.context.sessions),
        relay: bed.context.relay.clone(),
        hub: Arc::clone(&bed.hub),
        sealer: Arc::clone(&bed.context.sealer),
        probe: Arc::clone(&bed.context.probe),
        notifier: None,
        facts: bed.context.facts.clone(),
    });
    let (store, registry) = (store.clone(), Arc::clone(&context.accounts));
    let loading = tokio::spawn(async move {
        let mut changes = store.control_changes();
        loop {
            registry.swap(load(&store.control(), &registry.view(), &NoBlobs).await);
            if changes.changed().await.is_err() {
                return;
            }
        }
    });
    (context, loading)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_and_blacklists_are_durable() {
    let bed = Bed::new();
    let disk = Arc::new(FakeDisk::new());
    let store = open(&disk).await;
    let (context, loading) = admin(&bed, &store);
    let create = Request::CreateAccount(create_account::Request {
        account: account("police"),
        secret: None,
        bytes: Some(32),
        cms_key: None,
    });
    let ask = |request| commands::run(&context, request);
    let Reply::CreateAccount(made) = ask(create.clone()).await.unwrap() else { panic!() };
    assert!(ask(create).await.unwrap_err().is(Code::AccountExists));
    let (police, number) = (account("police"), uri("+46701"));
    let add = blacklist_add::Request { account: police.clone(), uri: number };
    ask(Request::BlacklistAdd(add)).await.unwrap();
    assert!(context.accounts.view().account(&police).unwrap().blacklist.contains(&uri("+46701")));
    let Reply::ShowNode(node) = ask(Request::ShowNode(show_node::Request {})).await.unwrap() else {
        panic!()
    };
    assert_eq!((node.nodes[0].role.as_str(), node.nodes[0].behind), ("leader", 0));
    let message = Request::ShowMessage(show_message::Request { account: None });
    assert_eq!(ask(message).await.unwrap(), Reply::ShowMessage(Vec::new()));
    loading.abort();
    store.close().await;

    let store = open(&disk).await;
    let (context, loading) = admin(&bed, &store);
    let list = Request::ListAccount(list_account::Request { reveal: true });
    let Reply::ListAccount(rows) = commands::run(&context, list).await.unwrap() else { panic!() };
    assert_eq!(rows[0].shared_secret, made.shared_secret, "sealed, stored, opened");
    let show = Request::ShowBlacklist(show_blacklist::Request { account: police });
    let Reply::ShowBlacklist(blocked) = commands::run(&context, show).await.unwrap() else {
        panic!()
    };
    assert_eq!(blocked.len(), 1);
    loading.abort();
    store.close().await;
}
