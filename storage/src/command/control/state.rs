//! The state of the control group: small, held in memory, written whole into snapshots.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crs_types::{AccountId, BlobHash, NodeId, NodeName, Period, Timestamp, Uri};
use serde::{Deserialize, Serialize};

use super::{ControlCommand, ControlReply};
use crate::command::Sealed;

/// Everything pool-wide. Readers get it as an `Arc` that never changes under them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlState {
    /// Rises by one with every command that changed something.
    pub version: u64,
    /// All accounts.
    pub accounts: BTreeMap<AccountId, Arc<Account>>,
    /// Deleted accounts whose mailboxes are still being dropped.
    pub purging: BTreeSet<AccountId>,
    /// The sealed pool CA, once the pool is initialised.
    pub pool_identity: Option<Sealed>,
    /// Nodes of the pool.
    pub nodes: BTreeMap<NodeId, NodeRecord>,
    /// Pool-wide settings by name.
    pub settings: BTreeMap<String, Sealed>,
}

/// One account (security domain).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The id as the operator spelled it.
    pub id: AccountId,
    /// The account secret, sealed by the caller.
    pub secret: Sealed,
    /// Public key of the account's CMS, once pinned.
    pub cms_key: Option<Vec<u8>>,
    /// When it was created.
    pub created: Timestamp,
    /// Barred users and since when.
    pub blacklist: BTreeMap<Uri, Timestamp>,
    /// Serial of the newest update file ever applied, whatever its month; never falls.
    pub newest_serial: Option<u64>,
    /// Applied update files: the current and next month and three past ones.
    pub updates: BTreeMap<Period, UpdateRecord>,
}

/// An applied update file. Its content is the blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateRecord {
    /// The month.
    pub period: Period,
    /// Serial given by the CMS; only newer ones replace it.
    pub serial: u64,
    /// When the CMS made it.
    pub created: Timestamp,
    /// When it was applied here.
    pub applied: Timestamp,
    /// The unprotected content, a blob.
    pub blob: BlobHash,
    /// Length of the blob in bytes.
    pub size: u64,
}

/// A node of the pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its name.
    pub name: NodeName,
    /// When it joined.
    pub joined: Timestamp,
}

impl ControlState {
    /// The account with this id, in any spelling of case.
    pub fn account(&self, id: &AccountId) -> Option<&Arc<Account>> {
        self.accounts.get(id)
    }

    /// Applies a command. Pure: the result depends on state and command alone.
    pub fn apply(&mut self, command: &ControlCommand) -> ControlReply {
        let outcome = match command {
            ControlCommand::CreateAccount(c) => c.apply(self),
            ControlCommand::DeleteAccount(c) => c.apply(self),
            ControlCommand::AccountPurged(c) => c.apply(self),
            ControlCommand::SetAccountSecret(c) => c.apply(self),
            ControlCommand::BlacklistAdd(c) => c.apply(self),
            ControlCommand::BlacklistRemove(c) => c.apply(self),
            ControlCommand::ApplyUpdate(c) => c.apply(self),
            ControlCommand::SetPoolIdentity(c) => c.apply(self),
            ControlCommand::PutNode(c) => c.apply(self),
            ControlCommand::PutSetting(c) => c.apply(self),
            ControlCommand::BlacklistChange(c) => c.apply(self),
        };
        match outcome {
            Ok(changed) => {
                self.version += u64::from(changed);
                ControlReply::Done { changed }
            }
            Err(why) => ControlReply::Refused(why),
        }
    }

    /// Blobs that some account refers to.
    pub fn referenced_blobs(&self) -> BTreeSet<BlobHash> {
        let updates = self.accounts.values().flat_map(|account| account.updates.values());
        updates.map(|update| update.blob).collect()
    }

    /// The account for changing; readers of the old state keep theirs.
    pub(super) fn account_mut(
        &mut self,
        id: &AccountId,
    ) -> Result<&mut Account, super::ControlRefusal> {
        match self.accounts.get_mut(id) {
            Some(account) => Ok(Arc::make_mut(account)),
            None => Err(super::ControlRefusal::NoAccount(id.clone())),
        }
    }
}
