//! A node on a host, configured by files as an operator would, with users.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crs_client::{Client, Event, Identity, Options};
use crs_load::common::users::Users;
use crs_proto::wire::life::Role;
use crs_tests::program;
use crs_types::{Clock, DeviceId, SystemClock, Uri};
use serde_json::Value;
use tokio::time::timeout;

use super::host::Host;
use crate::bed::{Account, PATIENCE, Reach, Serving, until};

pub(super) const CLIENT_PORT: u16 = 5223;
pub(super) const MEDIA_PORT: u16 = 146;

/// A running node and its users.
pub(super) struct Pool {
    pub(super) users: Users,
    _node: Serving,
    account: Account,
    _folder: tempfile::TempDir,
}

impl Pool {
    /// Starts a node on `host` with these further lines of crs.conf, and makes users for it.
    pub(super) fn start(host: &Host, users: usize, settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        write_files(folder.path(), host, settings);
        let mut command = host.command(program("crs-node"));
        command.arg("--config").arg(folder.path().join("crs.conf")).arg("--ready-json");
        let node = Serving::start(&mut command);
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (server, pool_ca) = (host.at(CLIENT_PORT).to_string(), path("data/pool-ca.pem"));
        let reach = Reach { socket: &path("admin.sock"), server: &server, pool_ca: &pool_ca };
        let numbers: Vec<String> = (0..users).map(|n| format!("+4670{n:07}")).collect();
        let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
        let account = Account::make(folder.path(), &reach, &numbers);
        account.cms(&["loadtest-export", "-o", &path("users.jsonl")]);
        let text = std::fs::read_to_string(path("users.jsonl")).expect("the export");
        let users = Users::parse(&text, None).expect("users");
        Self { users, _node: node, account, _folder: folder }
    }

    /// What the node answers to a command, as JSON.
    pub(super) fn cli(&self, arguments: &[&str]) -> Value {
        self.account.cli(arguments)
    }

    /// Waits until the relay has forwarded media.
    pub(super) fn until_media_flows(&self) {
        self.until("media flows", || self.relayed() > 50);
    }

    /// Waits until the relay has read so many packets of any kind.
    pub(super) fn until_heard(&self, packets: u64) {
        let heard = || self.cli(&["show", "relay"])["received"]["packets"].as_u64();
        self.until("the relay reads", || heard().is_some_and(|heard| heard >= packets));
    }

    /// Media packets forwarded so far.
    fn relayed(&self) -> u64 {
        let shown = self.cli(&["show", "relay"]);
        let types = shown["types"].as_array().expect("rows");
        types.iter().filter_map(|row| row["tx"].as_u64()).sum()
    }

    /// Whether a user is registered, as the node believes.
    pub(super) fn attached(&self, uri: &Uri) -> bool {
        self.cli(&["show", "attach"]).to_string().contains(uri.as_str().trim_start_matches("tel:"))
    }

    /// Waits until the node has noticed that a user is gone.
    pub(super) fn until_detached(&self, uri: &Uri) {
        self.until("the node notices", || !self.attached(uri));
    }

    /// Asks again and again, as an operator would.
    fn until(&self, what: &str, there: impl Fn() -> bool) {
        let clock = SystemClock::new();
        let started = clock.mono();
        while !there() {
            assert!(clock.mono().since(started) < PATIENCE, "{what} within {PATIENCE:?}");
        }
    }

    /// The nth user's client, on a host. It has this month's keys when this returns.
    pub(super) fn client(&self, host: &Host, n: usize) -> Arc<Client> {
        let mut identity: Identity = self.users.identities[n].clone();
        identity.device = DeviceId::parse("phone").expect("a device");
        let options = Options {
            role: Role::Primary,
            backoff_cap: Duration::from_millis(500),
            ..Options::default()
        };
        let ready = host.spawn(async move {
            let client = Client::with_identity(identity, options).await.expect("a client");
            client.wait_attached(PATIENCE).await.expect("attached");
            until(&client, |event| matches!(event, Event::Updated { .. }).then_some(())).await;
            Arc::new(client)
        });
        wait(ready)
    }
}

/// Waits for something that runs on a host.
pub(super) fn wait<T>(task: tokio::task::JoinHandle<T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime
        .expect("a runtime")
        .block_on(async { timeout(PATIENCE * 2, task).await.expect("it ends").expect("no panic") })
}

fn write_files(folder: &Path, host: &Host, settings: &[&str]) {
    let key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let address = host.address;
    let mut pool = format!("key {key}\nhost crs1\nip crs1 {address}\n");
    pool.extend(settings.iter().map(|line| format!("{line}\n")));
    let at = folder.display();
    let local = format!(
        "crsname crs1\nclient-listen {address}:{CLIENT_PORT}\nmedia-listen {address}:{MEDIA_PORT}\n\
         data-dir {at}/data\naccounts-dir {at}/accounts\nscripts-dir {at}/scripts\nbackup-dir {at}/backup\n\
         admin-socket {at}/admin.sock\nlog-dir {at}/log\ndisk-min-free 1MiB\n"
    );
    std::fs::write(folder.join("crs.conf"), pool).expect("crs.conf");
    std::fs::write(folder.join("crs-local.conf"), local).expect("crs-local.conf");
}
