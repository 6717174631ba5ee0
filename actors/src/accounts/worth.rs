//! What keys that a connection has shown are worth as accounts change: asked when it attaches and
//! when it asks for updates, and of every connection at every change.

use crs_keys::identity::{IssuerId, UserIdentity};
use crs_proto::wire::life::{DeniedReason, UnregisteredReason};
use crs_types::{Generation, Timestamp, Uri};

use super::{Account, AccountsView};
use crate::directory::Registration;

/// What of the keys of a connection may be taken back while it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShownKeys {
    /// Their generation.
    pub generation: Generation,
    /// The CA that has certified them; `None` for a test client's, certified by a node.
    pub issuer: Option<IssuerId>,
}

/// Why keys that were good when they were shown are worth nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worthless {
    /// The operator has blocked the user.
    Blacklisted,
    /// The generation was revoked, or the CA retired: the user must enrol again.
    Revoked,
    /// The user is not in the account any more.
    NotListed,
}

impl Worthless {
    /// The same to a client that asks for something.
    pub fn denied(self) -> DeniedReason {
        match self {
            Self::Blacklisted => DeniedReason::Blacklisted,
            Self::Revoked => DeniedReason::Revoked,
            Self::NotListed => DeniedReason::NotListed,
        }
    }

    /// The same to a client that was registered.
    pub fn unregistered(self) -> UnregisteredReason {
        match self {
            Self::Blacklisted => UnregisteredReason::Blacklisted,
            Self::Revoked => UnregisteredReason::UpdateRequired,
            Self::NotListed => UnregisteredReason::NotListed,
        }
    }
}

impl Account {
    /// What keys of a user are still worth: with them updates can be fetched.
    pub fn stands(&self, uri: &Uri, keys: ShownKeys, now: Timestamp) -> Result<(), Worthless> {
        if self.blacklist.contains(uri) {
            return Err(Worthless::Blacklisted);
        }
        let trusted = keys.issuer.is_none_or(|issuer| self.issuers().contains(&issuer));
        if !trusted || self.check_generation(uri, keys.generation).is_err() {
            return Err(Worthless::Revoked);
        }
        let mut files = self.current(now).into_iter().chain(self.offered(now)).peekable();
        let removed = files.peek().is_some() && files.all(|index| index.user(uri).is_none());
        if removed { Err(Worthless::NotListed) } else { Ok(()) }
    }

    /// Whether a user who is registered may stay so.
    pub fn may_stay(&self, uri: &Uri, keys: ShownKeys, now: Timestamp) -> Result<(), Worthless> {
        self.stands(uri, keys, now)?;
        let listed = self.current(now).is_none_or(|index| index.user(uri).is_some());
        if listed { Ok(()) } else { Err(Worthless::NotListed) }
    }
}

impl AccountsView {
    /// Why a registration has to end, if it has.
    pub fn ends_registration(
        &self,
        registration: &Registration,
        now: Timestamp,
    ) -> Option<UnregisteredReason> {
        let Some(account) = self.account(&registration.account) else {
            return Some(UnregisteredReason::AccountDeleted);
        };
        if registration.uri.is_test_client() {
            return None;
        }
        let stays = account.may_stay(&registration.uri, registration.keys, now);
        stays.err().map(Worthless::unregistered)
    }

    /// Why a connection without a registration has to end, if it has.
    pub fn ends_connection(
        &self,
        user: &UserIdentity,
        keys: ShownKeys,
        now: Timestamp,
    ) -> Option<UnregisteredReason> {
        let Some(account) = self.account(&user.account) else {
            return Some(UnregisteredReason::AccountDeleted);
        };
        if user.uri.is_test_client() {
            return None;
        }
        account.stands(&user.uri, keys, now).err().map(Worthless::unregistered)
    }
}
