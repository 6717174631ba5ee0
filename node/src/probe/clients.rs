//! Two temporary clients of an account, with certificates that the pool's nodes mint themselves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crs_client::{Client, Identity, Options};
use crs_keys::package::UserKeys;
use crs_keys::test_ca::TestCa;
use crs_proto::wire::Bytes64;
use crs_proto::wire::lookup::{Found, PublicKeys};
use crs_types::{AccountId, DeviceId, OsRng, Rng, Uri};

use super::ProbeParts;

/// How long a test client may take to attach.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the node may take to answer a test client.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A pair of attached clients.
pub(super) struct Pair {
    pub(super) caller: Client,
    pub(super) callee: Client,
    pub(super) callee_uri: Uri,
    pub(super) caller_uri: Uri,
}

/// Makes and attaches both.
pub(super) async fn attach(
    parts: &ProbeParts,
    account: &AccountId,
    local_only: bool,
) -> Result<Pair, String> {
    let now = parts.clock.now();
    let ca =
        TestCa::derive(&parts.pool_key, account, &mut OsRng, now).map_err(|e| e.to_string())?;
    let id = OsRng.bytes::<8>().map(|byte| format!("{byte:02x}")).concat();
    let keys = [issue(parts, &ca, 0, &id)?, issue(parts, &ca, 1, &id)?];
    let [caller_keys, callee_keys] = &keys;
    let caller = open(parts, &ca, caller_keys, callee_keys, local_only).await?;
    let callee = open(parts, &ca, callee_keys, caller_keys, local_only).await?;
    for client in [&caller, &callee] {
        client.wait_attached(ATTACH_TIMEOUT).await.map_err(|error| error.to_string())?;
    }
    Ok(Pair {
        caller,
        callee,
        callee_uri: callee_keys.identity.uri.clone(),
        caller_uri: caller_keys.identity.uri.clone(),
    })
}

impl Pair {
    pub(super) async fn close(self) {
        self.caller.close().await;
        self.callee.close().await;
    }
}

fn issue(parts: &ProbeParts, ca: &TestCa, index: u32, id: &str) -> Result<UserKeys, String> {
    let uri = Uri::test_client(index, id).map_err(|error| error.to_string())?;
    ca.issue(&uri, &mut OsRng, parts.clock.now()).map_err(|error| error.to_string())
}

async fn open(
    parts: &ProbeParts,
    ca: &TestCa,
    own: &UserKeys,
    other: &UserKeys,
    local_only: bool,
) -> Result<Client, String> {
    let identity = identity(parts, ca, own, local_only)?;
    let options = options(parts, other);
    Client::with_identity(identity, options).await.map_err(|error| error.to_string())
}

fn options(parts: &ProbeParts, other: &UserKeys) -> Options {
    Options {
        clock: Arc::clone(&parts.clock),
        connect_timeout: ATTACH_TIMEOUT,
        request_timeout: REQUEST_TIMEOUT,
        backoff_cap: Duration::from_millis(500),
        auto_update: false,
        known: vec![found(other)],
        ..Options::default()
    }
}

fn identity(
    parts: &ProbeParts,
    ca: &TestCa,
    keys: &UserKeys,
    local_only: bool,
) -> Result<Identity, String> {
    let server = server(parts, local_only);
    let trust = (parts.trust)();
    let device = DeviceId::parse("health-check").map_err(|error| error.to_string())?;
    Ok(Identity::from_keys(keys, &ca.trust(), vec![server.to_string()], trust, device))
}

fn found(keys: &UserKeys) -> Found {
    Found {
        uri: keys.identity.uri.clone(),
        account: keys.identity.account.clone(),
        attached: true,
        keys: vec![PublicKeys {
            period: keys.identity.period,
            generation: keys.identity.generation,
            sign_cert: Bytes64(keys.sign_cert.to_vec()),
            kem_cert: Bytes64(keys.kem_cert.clone()),
        }],
    }
}

/// Where test clients connect.
pub(super) fn server(parts: &ProbeParts, local_only: bool) -> SocketAddr {
    if local_only { loopback(parts.listener) } else { connectable(parts) }
}

/// Test clients are welcome from loopback and pool addresses; a listener on all addresses is
/// reached through loopback.
fn loopback(listener: SocketAddr) -> SocketAddr {
    match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, listener.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, listener.port()).into(),
        IpAddr::V4(_) | IpAddr::V6(_) => listener,
    }
}

fn connectable(parts: &ProbeParts) -> SocketAddr {
    if parts.public.ip().is_unspecified() { loopback(parts.public) } else { parts.public }
}

#[cfg(test)]
mod tests {
    use crs_client::ServerTrust;
    use crs_types::{Secret, SystemClock};
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::*;

    fn parts(server: SocketAddr) -> ProbeParts {
        ProbeParts {
            clock: Arc::new(SystemClock::new()),
            pool_key: Secret::new(vec![7; 32]),
            trust: Arc::new(|| ServerTrust::PoolCa(Vec::new())),
            listener: server,
            public: server,
            scratch: std::path::PathBuf::new(),
            any_account: Arc::new(|| None),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_accepts_and_says_nothing_fails_the_attach_after_ten_seconds() {
        let mute = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let parts = parts(mute.local_addr().unwrap());
        let began = Instant::now();
        let attached = attach(&parts, &AccountId::parse("acme").unwrap(), true).await;
        let why = attached.err().expect("nobody lets it in");
        assert!(why.contains("within 10.0 s"), "{why}");
        assert_eq!(began.elapsed().as_secs(), ATTACH_TIMEOUT.as_secs());
    }

    /// That the client keeps to it is tested there.
    #[test]
    fn requests_of_a_test_client_wait_ten_seconds() {
        let parts = parts((Ipv4Addr::LOCALHOST, 1).into());
        let account = AccountId::parse("acme").unwrap();
        let now = parts.clock.now();
        let ca = TestCa::derive(&parts.pool_key, &account, &mut OsRng, now).unwrap();
        let keys = issue(&parts, &ca, 0, "00").unwrap();
        assert_eq!(options(&parts, &keys).request_timeout, REQUEST_TIMEOUT);
    }
}
