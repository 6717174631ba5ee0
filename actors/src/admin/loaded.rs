//! After a change: waiting until this node has loaded it, and ending what it no longer allows.

use std::time::Duration;

use crs_proto::wire::life::UnregisteredReason;
use crs_types::{AccountId, Uri};

use super::AdminContext;
use crate::directory::Registration;

/// Loading indexes an update file of up to 256 MiB. Shorter than what `crs-cli` waits for.
const LOAD_TIMEOUT: Duration = Duration::from_secs(45);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

impl AdminContext {
    /// Waits until the accounts this node decides by are those of the control state. False when
    /// that takes too long: the change is durable, but connections may still come in by the old
    /// rules.
    pub(super) async fn loaded(&self) -> bool {
        let version = self.store.control().version;
        let look = async {
            while self.accounts.view().version < version {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::time::timeout(LOAD_TIMEOUT, look).await.is_ok()
    }

    /// Ends a user's registrations, sessions and connections, also those that never registered.
    /// Returns the connections.
    pub(super) fn drop_user(
        &self,
        account: &AccountId,
        uri: &Uri,
        reason: UnregisteredReason,
    ) -> u64 {
        let found = self.node.directory.find(account, uri);
        found.iter().for_each(|registration| end(registration, reason));
        if reason != UnregisteredReason::Purged {
            self.sessions.end_user(account, uri);
        }
        let told: Vec<_> = found.iter().map(|registration| registration.connection).collect();
        let others = self.node.crowd.end_where(|a, u| a == account && u == uri, &told, reason);
        found.len() as u64 + others
    }

    /// Ends all connections of an account, also those that never registered. Returns their number.
    pub(super) fn drop_all_of_account(
        &self,
        account: &AccountId,
        reason: UnregisteredReason,
    ) -> u64 {
        let registered = self.node.directory.of_account(account);
        let told: Vec<_> = registered.iter().map(|registration| registration.connection).collect();
        let closed = self.drop_of_account(account, |_| Some(reason));
        closed + self.node.crowd.end_where(|a, _| a == account, &told, reason)
    }

    /// Ends the connections of an account for which `reason` gives one. Returns their number.
    pub(super) fn drop_of_account(
        &self,
        account: &AccountId,
        reason: impl Fn(&Registration) -> Option<UnregisteredReason>,
    ) -> u64 {
        let mut closed = 0;
        for registration in self.node.directory.of_account(account) {
            let Some(reason) = reason(&registration) else { continue };
            end(&registration, reason);
            if reason != UnregisteredReason::Purged {
                self.sessions.end_user(account, &registration.uri);
            }
            closed += 1;
        }
        closed
    }
}

fn end(registration: &Registration, reason: UnregisteredReason) {
    // With each of our reasons the connection is closed too; a client too slow to be told is cut.
    let _ = registration.handle.unregister(reason);
}
