//! The part of the health check that needs clients: two temporary test clients go through
//! the real listener, TLS, relay and message path of this node.

mod account;
mod call;
mod clients;
mod system;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crs_actors::admin::HealthProbe;
use crs_admin_api::command::health_check::{Health, Test};
use crs_client::ServerTrust;
use crs_types::{AccountId, Clock, Mono, Secret};
use futures_util::future::BoxFuture;

/// What the probe needs to know of its node.
#[derive(Clone)]
pub struct ProbeParts {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The pool key, from which the test clients' CA is derived.
    pub pool_key: Secret,
    /// How the clients recognise the node now.
    pub trust: Arc<dyn Fn() -> ServerTrust + Send + Sync>,
    /// Where the client listener is.
    pub listener: SocketAddr,
    /// Public address of the client listener; the same as `listener` on loopback pools.
    pub public: SocketAddr,
    /// Folder for the sound files of a test call.
    pub scratch: PathBuf,
    /// Some account of this pool, in whose name the media loop of the system test is made.
    pub any_account: Arc<dyn Fn() -> Option<AccountId> + Send + Sync>,
}

/// Test clients made of this node's own client library.
pub struct ClientProbe {
    parts: Arc<ProbeParts>,
}

impl ClientProbe {
    /// A probe of the node described by `parts`.
    pub fn new(parts: ProbeParts) -> Self {
        Self { parts: Arc::new(parts) }
    }
}

impl HealthProbe for ClientProbe {
    fn system(&self, local_only: bool) -> BoxFuture<'static, Vec<Test>> {
        Box::pin(system::run(Arc::clone(&self.parts), local_only))
    }

    fn account(&self, account: AccountId, local_only: bool) -> BoxFuture<'static, Vec<Test>> {
        Box::pin(account::run(Arc::clone(&self.parts), account, local_only))
    }
}

/// Times one test.
struct Stopwatch<'a> {
    clock: &'a dyn Clock,
    since: Mono,
    name: &'static str,
}

impl<'a> Stopwatch<'a> {
    fn start(clock: &'a dyn Clock, name: &'static str) -> Self {
        Self { clock, since: clock.mono(), name }
    }

    fn ended(&self, result: Health, description: impl Into<String>) -> Test {
        let took = self.clock.mono().since(self.since);
        Test {
            name: self.name.to_owned(),
            result,
            description: description.into(),
            ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn of<T>(&self, outcome: Result<T, String>, ok: impl FnOnce(T) -> String) -> Test {
        match outcome {
            Ok(value) => self.ended(Health::Ok, ok(value)),
            Err(why) => self.ended(Health::Error, why),
        }
    }
}
