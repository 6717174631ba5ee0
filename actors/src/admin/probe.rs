//! The tests of the health check that need a client. The node implements them with its client
//! library; this crate cannot see it.

use crs_admin_api::command::health_check::Test;
use crs_types::AccountId;
use futures_util::future::BoxFuture;

/// Runs temporary test clients through the real listener, relay and message path.
///
/// Each future bounds its own waiting (about 60 s in all) and reports a failure as a
/// [`Test`] with result `Error`, never by panicking.
pub trait HealthProbe: Send + Sync {
    /// Tests of the system that need a connection from outside, such as the TLS listener.
    fn system(&self, local_only: bool) -> BoxFuture<'static, Vec<Test>>;
    /// A call with media both ways, a message with its acknowledgement, and a lookup, between two
    /// temporary clients `urn:x-crs:client:test-<index>-<id>` of the account. `local_only`: over
    /// loopback addresses of this node only.
    fn account(&self, account: AccountId, local_only: bool) -> BoxFuture<'static, Vec<Test>>;
}

/// No client library: the tests that need one are missing from the report.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProbe;

impl HealthProbe for NoProbe {
    fn system(&self, _: bool) -> BoxFuture<'static, Vec<Test>> {
        Box::pin(async { Vec::new() })
    }

    fn account(&self, _: AccountId, _: bool) -> BoxFuture<'static, Vec<Test>> {
        Box::pin(async { Vec::new() })
    }
}
