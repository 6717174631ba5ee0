//! Presence: which users are attached, with which devices, over which connections.
//!
//! A node owns the entries of its own clients. [`LocalDirectory`] knows only those; gossip will
//! put the other nodes' entries behind the same trait. Presence is never written to Raft.

mod local;

use std::sync::Arc;

use crs_proto::wire::life::Role;
use crs_types::{AccountId, ClientAddr, ConnectionId, DeviceId, NodeName, Timestamp, Uri};

pub use local::LocalDirectory;

use crate::accounts::ShownKeys;
use crate::connection::ConnectionHandle;

/// One registration of one device.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The user's account.
    pub account: AccountId,
    /// The user.
    pub uri: Uri,
    /// Primary or secondary.
    pub role: Role,
    /// The device.
    pub device: DeviceId,
    /// The connection, unique within its node.
    pub connection: ConnectionId,
    /// How to reach it.
    pub handle: ConnectionHandle,
    /// When it was registered.
    pub since: Timestamp,
    /// Client program and version as the client said.
    pub version: Arc<str>,
    /// Client address of the TLS connection.
    pub addr: ClientAddr,
    /// How the TLS keys were agreed.
    pub key_exchange: KeyExchange,
    /// The keys that the client authenticated with.
    pub keys: ShownKeys,
    /// The node that holds the connection.
    pub node: NodeName,
}

/// How a client's TLS keys were agreed (design.md §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyExchange {
    /// X25519MLKEM768: hybrid post-quantum.
    Hybrid,
    /// X25519 alone.
    Classical,
}

/// A registration was refused: the user has as many secondaries as allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the user has the most secondary registrations allowed")]
pub struct TooMany;

/// Who is attached where. Entries are handed out as shared pointers; order is by account, URI,
/// role (primary first), then connection, so that no decision depends on a hash map.
pub trait Directory: Send + Sync {
    /// Adds a registration. What it displaces (the old primary, or the same device's or
    /// connection's earlier registration) is returned; the caller unregisters those.
    fn register(&self, registration: Arc<Registration>) -> Result<Vec<Arc<Registration>>, TooMany>;
    /// Removes a connection's registration; `None` when it had been displaced or removed before.
    fn remove(&self, account: &AccountId, uri: &Uri, id: ConnectionId)
    -> Option<Arc<Registration>>;
    /// All registrations of a user, primary first.
    fn find(&self, account: &AccountId, uri: &Uri) -> Vec<Arc<Registration>>;
    /// All registrations of an account.
    fn of_account(&self, account: &AccountId) -> Vec<Arc<Registration>>;
    /// All registrations, for `show attach`.
    fn snapshot(&self) -> Vec<Arc<Registration>>;
    /// Number of registrations.
    fn count(&self) -> usize;
}
