//! The control state as version 1 of its record has it: accounts without a newest serial.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crs_types::{AccountId, NodeId, Period, Timestamp, Uri};
use serde::{Deserialize, Serialize};

use super::{Account, ControlState, NodeRecord, UpdateRecord};
use crate::command::Sealed;

/// [`ControlState`] before version 2.
#[derive(Serialize, Deserialize)]
pub(crate) struct StateV1 {
    version: u64,
    accounts: BTreeMap<AccountId, AccountV1>,
    purging: BTreeSet<AccountId>,
    pool_identity: Option<Sealed>,
    nodes: BTreeMap<NodeId, NodeRecord>,
    settings: BTreeMap<String, Sealed>,
}

#[derive(Serialize, Deserialize)]
struct AccountV1 {
    id: AccountId,
    secret: Sealed,
    cms_key: Option<Vec<u8>>,
    created: Timestamp,
    blacklist: BTreeMap<Uri, Timestamp>,
    updates: BTreeMap<Period, UpdateRecord>,
}

impl From<StateV1> for ControlState {
    fn from(old: StateV1) -> Self {
        let StateV1 { version, accounts, purging, pool_identity, nodes, settings } = old;
        let accounts = accounts.into_iter().map(|(key, old)| (key, Arc::new(old.into()))).collect();
        Self { version, accounts, purging, pool_identity, nodes, settings }
    }
}

impl From<AccountV1> for Account {
    fn from(old: AccountV1) -> Self {
        let AccountV1 { id, secret, cms_key, created, blacklist, updates } = old;
        // The best there is: of months that are not kept nothing is known.
        let newest_serial = updates.values().map(|update| update.serial).max();
        Self { id, secret, cms_key, created, blacklist, newest_serial, updates }
    }
}

#[cfg(test)]
mod tests {
    use crs_types::BlobHash;
    use crs_types::envelope::{self, Version};

    use super::*;
    use crate::raft::ControlMachine;

    /// A snapshot of the version before is read, and the newest serial made out from what is kept.
    #[test]
    fn a_state_of_version_1_is_read() {
        let created = Timestamp::from_millis(1_790_000_000_000);
        let update = |period: &str, serial: u64| {
            let period: Period = period.parse().unwrap();
            let (applied, blob, size) = (created, BlobHash([serial as u8; 32]), 1);
            (period, UpdateRecord { period, serial, created, applied, blob, size })
        };
        let id = AccountId::parse("acc").unwrap();
        let old = AccountV1 {
            id: id.clone(),
            secret: Sealed::from(vec![1; 16]),
            cms_key: Some(vec![7]),
            created,
            blacklist: BTreeMap::from([(Uri::parse("+4670001").unwrap(), created)]),
            updates: BTreeMap::from([update("2026-10", 9), update("2026-11", 4)]),
        };
        let state = StateV1 {
            version: 12,
            accounts: BTreeMap::from([(id.clone(), old)]),
            purging: BTreeSet::new(),
            pool_identity: None,
            nodes: BTreeMap::new(),
            settings: BTreeMap::new(),
        };
        let bytes = envelope::encode(Version(1), &state).unwrap();
        let machine = ControlMachine::new();
        machine.load(&vec![(b"control".to_vec(), bytes)]).unwrap();
        let read = machine.state.load_full();
        assert_eq!(read.version, 12);
        let account = read.account(&id).unwrap();
        assert_eq!((account.newest_serial, account.updates.len()), (Some(9), 2));
        assert_eq!(account.blacklist.len(), 1);
        // And what is written now is read as well.
        let again = ControlMachine::new();
        again.load(&machine.to_rows().unwrap()).unwrap();
        assert_eq!(again.state.load_full(), read);
    }
}
