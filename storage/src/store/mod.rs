//! The handle everybody else holds: propose, read, watch, and close.

use std::fmt;
use std::sync::Arc;

use crs_types::disk::Disk;
use crs_types::{AccountId, BlobHash, Clock, GroupId, Slot, Uri};
use openraft::RaftNetworkFactory;
use tokio::sync::watch;

mod error;
mod read;
mod status;

pub use error::{OpenError, ReadError, WriteError};
pub use read::{ClientInfo, MailItem, Page, UserCounters, UserView, Waiting};
pub use status::{GroupStatus, StoreStatus};

use crate::command::control::ControlState;
use crate::command::mailbox::{Ack, Arrival, Post, PostReply};
use crate::command::{ControlCommand, ControlReply, MailboxCommand, MailboxReply, UserKey};
use crate::raft::TypeConfig;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// This node's id in the Raft groups; the first node of a pool is 1.
    pub node: crs_types::NodeId,
    /// Number of mailbox groups. Fixed when the store is made; another number is refused.
    pub mailbox_groups: u16,
    /// Posts are refused when fewer bytes than this are free on the disk.
    pub min_free_bytes: u64,
    /// Size of a log segment in bytes.
    pub segment_bytes: u64,
    /// Size of the file that is given up so that a full disk can be opened and drained.
    pub reserve_bytes: u64,
    /// A group's log is replaced by a snapshot when it has grown by this many bytes.
    pub snapshot_bytes: u64,
    /// Cache of the tables in bytes.
    pub cache_bytes: u64,
    /// Where the tables are.
    pub tables: Tables,
}

/// Where the tables are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tables {
    /// In sled, below the disk's real root.
    Sled,
    /// In memory (tests and simulation).
    Memory,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            node: crs_types::NodeId(1),
            mailbox_groups: crs_types::limits::MAILBOX_GROUPS,
            min_free_bytes: 256 << 20,
            segment_bytes: 16 << 20,
            reserve_bytes: 32 << 20,
            snapshot_bytes: 64 << 20,
            cache_bytes: 32 << 20,
            tables: Tables::Sled,
        }
    }
}

/// Called after something new has been applied; must not block. Duplicate calls are possible
/// after a restart.
pub type ArrivalHook = Arc<dyn Fn(&Arrival) + Send + Sync>;

/// A confirmed command: durable on a majority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed<R> {
    /// What the command did.
    pub reply: R,
    /// On how many nodes it is synced.
    pub copies: u64,
}

/// The store of a node. Cheap to clone; the last handle does not close it, [`Store::close`] does.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    config: StoreConfig,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store on `disk` (made when empty), recovers, and returns once everything that
    /// was ever confirmed is readable and commands can be proposed.
    ///
    /// `network` reaches the other voters (`crs_cluster::Unreachable` on a single node).
    pub async fn open<N: RaftNetworkFactory<TypeConfig> + Clone>(
        config: StoreConfig,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        network: N,
        on_arrival: ArrivalHook,
    ) -> Result<Self, OpenError> {
        let _ = (&disk, &clock, &on_arrival, &config, &network);
        todo!()
    }

    /// Closes in order: no new commands, groups down, tables written back, log closed.
    pub async fn close(&self) {
        todo!()
    }

    /// Turns to `Some(reason)` when the store has failed for good (a sync error, damage): the
    /// node must stop.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        todo!()
    }

    /// The mailbox group that owns a URI.
    pub fn group_of(&self, uri: &Uri) -> GroupId {
        Slot::of(uri).group(self.inner.config.mailbox_groups)
    }

    /// Proposes a command to the control group.
    pub async fn propose_control(
        &self,
        command: ControlCommand,
    ) -> Result<Confirmed<ControlReply>, WriteError> {
        let _ = command;
        todo!()
    }

    /// Proposes a command to a mailbox group.
    pub async fn propose_mailbox(
        &self,
        group: GroupId,
        command: MailboxCommand,
    ) -> Result<Confirmed<MailboxReply>, WriteError> {
        let _ = (group, command);
        todo!()
    }

    /// Posts a message to its receiver's group.
    pub async fn post(&self, post: Post) -> Result<Confirmed<PostReply>, WriteError> {
        let _ = post;
        todo!()
    }

    /// Acknowledges items; returns how many were removed.
    pub async fn ack(&self, ack: Ack) -> Result<Confirmed<u64>, WriteError> {
        let _ = ack;
        todo!()
    }

    /// Notes that a user has looked for messages now; written in batches, so the last second's
    /// notes may be lost in a crash.
    pub fn note_read(&self, user: &UserKey) {
        let _ = user;
        todo!()
    }

    /// The control state as applied here. Cheap; take it anew for every decision.
    pub fn control(&self) -> Arc<ControlState> {
        todo!()
    }

    /// Changes whenever the control state does; the value is its version.
    pub fn control_changes(&self) -> watch::Receiver<u64> {
        todo!()
    }

    /// The oldest items with a number above `after`, up to `max_bytes` of bodies (at least one).
    pub async fn fetch(
        &self,
        user: &UserKey,
        after: u64,
        max_bytes: u64,
    ) -> Result<Page, ReadError> {
        let _ = (user, after, max_bytes);
        todo!()
    }

    /// What waits for a user.
    pub async fn waiting(&self, user: &UserKey) -> Result<Waiting, ReadError> {
        let _ = user;
        todo!()
    }

    /// Everything stored about a user but the mailbox: counters, key updates, client info.
    pub async fn user(&self, user: &UserKey) -> Result<UserView, ReadError> {
        let _ = user;
        todo!()
    }

    /// Counters of all users, sorted by account and URI (`show message`), optionally of one
    /// account.
    pub async fn counters(
        &self,
        account: Option<&AccountId>,
    ) -> Result<Vec<UserCounters>, ReadError> {
        let _ = account;
        todo!()
    }

    /// Stores a blob durably and returns its name. Repeating it is harmless.
    pub async fn put_blob(&self, bytes: Vec<u8>) -> Result<BlobHash, WriteError> {
        let _ = bytes;
        todo!()
    }

    /// A blob's content, checked against its name.
    pub async fn get_blob(&self, hash: BlobHash) -> Result<Vec<u8>, ReadError> {
        let _ = hash;
        todo!()
    }

    /// Figures for `show system`, `doctor` and metrics.
    pub fn status(&self) -> StoreStatus {
        todo!()
    }
}
