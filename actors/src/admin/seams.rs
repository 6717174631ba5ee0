//! What the commands need of store, sessions and relay, as small interfaces, so that the commands
//! can be tried without them.

use std::sync::Arc;

use crs_proto::session::Summary;
use crs_relay::{RelayCounters, RelayType};
use crs_storage::command::control::{ControlCommand, ControlReply, ControlState};
use crs_storage::store::{
    Confirmed, PutBlob, ReadError, Store, StoreStatus, UserCounters, WriteError,
};
use crs_types::{AccountId, AllocationId, BlobHash, GroupId, SessionId, Timestamp, Uri};
use futures_util::future::BoxFuture;

use crate::session::SessionService;

/// The store, as far as an operator sees it. Methods are those of [`Store`].
pub trait AdminStore: Send + Sync {
    /// The control state as applied here.
    fn control(&self) -> Arc<ControlState>;
    /// Proposes a command to the control group.
    fn propose(
        &self,
        command: ControlCommand,
    ) -> BoxFuture<'_, Result<Confirmed<ControlReply>, WriteError>>;
    /// Stores a blob.
    fn put_blob(&self, bytes: Arc<Vec<u8>>) -> BoxFuture<'_, Result<PutBlob, WriteError>>;
    /// A blob's content.
    fn get_blob(&self, hash: BlobHash) -> BoxFuture<'_, Result<Vec<u8>, ReadError>>;
    /// Counters of users, sorted.
    fn counters(
        &self,
        account: Option<AccountId>,
    ) -> BoxFuture<'_, Result<Vec<UserCounters>, ReadError>>;
    /// The group that owns a URI.
    fn group_of(&self, uri: &Uri) -> GroupId;
    /// Figures.
    fn status(&self) -> StoreStatus;
}

impl AdminStore for Store {
    fn control(&self) -> Arc<ControlState> {
        Self::control(self)
    }

    fn propose(
        &self,
        command: ControlCommand,
    ) -> BoxFuture<'_, Result<Confirmed<ControlReply>, WriteError>> {
        Box::pin(self.propose_control(command))
    }

    fn put_blob(&self, bytes: Arc<Vec<u8>>) -> BoxFuture<'_, Result<PutBlob, WriteError>> {
        Box::pin(Self::put_blob(self, bytes))
    }

    fn get_blob(&self, hash: BlobHash) -> BoxFuture<'_, Result<Vec<u8>, ReadError>> {
        Box::pin(Self::get_blob(self, hash))
    }

    fn counters(
        &self,
        account: Option<AccountId>,
    ) -> BoxFuture<'_, Result<Vec<UserCounters>, ReadError>> {
        Box::pin(async move { Self::counters(self, account.as_ref()).await })
    }

    fn group_of(&self, uri: &Uri) -> GroupId {
        Self::group_of(self, uri)
    }

    fn status(&self) -> StoreStatus {
        Self::status(self)
    }
}

/// The sessions of this node.
pub trait SessionsView: Send + Sync {
    /// All sessions, ended ones while they are remembered.
    fn snapshot(&self) -> Vec<Summary>;
    /// Ends all sessions of a user who was blocked or whose account is gone.
    fn end_user(&self, account: &AccountId, uri: &Uri);
}

impl SessionsView for SessionService {
    fn snapshot(&self) -> Vec<Summary> {
        Self::snapshot(self)
    }

    fn end_user(&self, account: &AccountId, uri: &Uri) {
        Self::end_user(self, account, uri);
    }
}

/// One live relay resource (C-221 … C-225).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayResource {
    /// The resource.
    pub id: AllocationId,
    /// Its type.
    pub kind: RelayType,
    /// When media last passed; `None` when none ever has.
    pub last_active: Option<Timestamp>,
    /// The session it serves.
    pub session: Option<SessionId>,
    /// Legs with a proved address.
    pub bound: usize,
    /// All legs.
    pub legs: usize,
}

/// The relay of this node. Futures bound their own waiting.
pub trait RelayView: Send + Sync {
    /// True while all relay threads forward.
    fn running(&self) -> bool;
    /// Sums over all threads.
    fn counters(&self) -> RelayCounters;
    /// Live resources in order of their ids.
    fn resources(&self) -> BoxFuture<'static, Vec<RelayResource>>;
}
