//! One consistent state of all accounts, and the questions the node asks of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use crs_keys::identity::IssuerId;
use crs_proto::wire::life::DeniedReason;
use crs_storage::command::control::Account as Record;
use crs_types::period::Standing;
use crs_types::{AccountId, Generation, Period, Timestamp, Uri};
use rustls_pki_types::CertificateDer;

use super::{PeriodIndex, ShownKeys, User, Worthless};

/// All accounts as of one version of the control state.
#[derive(Debug, Default)]
pub struct AccountsView {
    /// Version of the control state this was built from.
    pub version: u64,
    /// By id.
    pub accounts: BTreeMap<AccountId, Arc<Account>>,
}

/// One account.
#[derive(Debug)]
pub struct Account {
    /// The id as the operator spelled it.
    pub id: AccountId,
    /// Applied update files.
    pub periods: BTreeMap<Period, Arc<PeriodIndex>>,
    /// Barred users.
    pub blacklist: BTreeSet<Uri>,
    /// By their keys.
    issuers: Vec<IssuerId>,
    /// The control record this was wholly built from. Weak, so that the next change of the record
    /// need not copy it.
    record: Weak<Record>,
}

/// A certificate's generation is older than the newest of its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("keys of generation {have} are revoked, the newest is {newest}")]
pub struct Revoked {
    /// The certificate's generation.
    pub have: Generation,
    /// The user's newest generation.
    pub newest: Generation,
}

impl AccountsView {
    /// An account, in any spelling of case.
    pub fn account(&self, id: &AccountId) -> Option<&Arc<Account>> {
        self.accounts.get(id)
    }

    /// The account in which a user of `own` reaches `uri`: its own first, then the
    /// accounts of this pool that are connected with it both ways, in the order of the update
    /// file. Only listed users that are not barred can be reached. Test clients reach only each
    /// other, within their account.
    pub fn resolve(
        &self,
        own: &AccountId,
        from: &Uri,
        uri: &Uri,
        now: Timestamp,
    ) -> Option<Arc<Account>> {
        let own = self.account(own)?;
        if from.is_test_client() || uri.is_test_client() {
            return (from.is_test_client() && uri.is_test_client()).then(|| Arc::clone(own));
        }
        if own.reachable(uri, now) {
            return Some(Arc::clone(own));
        }
        self.connected(own, now).find(|account| account.reachable(uri, now)).cloned()
    }

    /// Accounts of this pool that `own` names and that name `own`.
    pub fn connected<'a>(
        &'a self,
        own: &'a Account,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a Arc<Account>> + 'a {
        let names = own.current(now).map(|index| index.connected.as_slice()).unwrap_or_default();
        names
            .iter()
            .filter_map(|id| self.account(id))
            .filter(move |other| other.id != own.id && other.names(&own.id, now))
    }
}

impl Account {
    /// An account as its control record and its update files say.
    pub fn new(
        id: AccountId,
        periods: BTreeMap<Period, Arc<PeriodIndex>>,
        blacklist: BTreeSet<Uri>,
    ) -> Self {
        let mut account = Self { id, periods, blacklist, issuers: Vec::new(), record: Weak::new() };
        account.issuers = account.cas().iter().filter_map(|ca| IssuerId::of(ca).ok()).collect();
        account
    }

    /// The same, built from `record` with nothing left out.
    pub(super) fn of(self, record: &Arc<Record>) -> Self {
        Self { record: Arc::downgrade(record), ..self }
    }

    /// True when `record` says nothing else than when this was built.
    pub(super) fn is_of(&self, record: &Arc<Record>) -> bool {
        Weak::ptr_eq(&self.record, &Arc::downgrade(record))
    }

    /// The update file that was made last, whatever its month.
    pub fn newest(&self) -> Option<&Arc<PeriodIndex>> {
        self.periods.values().max_by_key(|index| index.serial)
    }

    /// The update file in force: of this month, or of the last one while its grace runs.
    pub fn current(&self, now: Timestamp) -> Option<&Arc<PeriodIndex>> {
        let month = Period::at(now);
        self.periods.get(&month).or_else(|| {
            let previous = month.previous();
            let in_grace = previous.standing(now) == Standing::Valid;
            self.periods.get(&previous).filter(|_| in_grace)
        })
    }

    /// The user in the update file in force.
    pub fn user(&self, uri: &Uri, now: Timestamp) -> Option<&User> {
        self.current(now)?.user(uri)
    }

    /// The highest generation that any applied file gives the user. Older ones are revoked.
    pub fn newest_generation(&self, uri: &Uri) -> Option<Generation> {
        self.periods.values().filter_map(|index| index.user(uri)).map(|u| u.generation).max()
    }

    /// Refuses keys of a revoked generation; asked in the TLS handshake already.
    pub fn check_generation(&self, uri: &Uri, have: Generation) -> Result<(), Revoked> {
        match self.newest_generation(uri) {
            Some(newest) if newest > have => Err(Revoked { have, newest }),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether a user with verified keys of `period` may attach now. Told to fetch an update is
    /// only who finds one.
    pub fn may_attach(
        &self,
        uri: &Uri,
        period: Period,
        keys: ShownKeys,
        now: Timestamp,
    ) -> Result<(), DeniedReason> {
        self.stands(uri, keys, now).map_err(Worthless::denied)?;
        match period.standing(now) {
            Standing::Valid => {}
            Standing::UpdateOnly if self.offered(now).next().is_none() => {
                return Err(DeniedReason::AccountNotLoaded);
            }
            Standing::UpdateOnly => return Err(DeniedReason::UpdateRequired),
            Standing::NotYet | Standing::Expired => return Err(DeniedReason::NotAuthorised),
        }
        let current = self.current(now).ok_or(DeniedReason::AccountNotLoaded)?;
        match current.user(uri) {
            None => Err(DeniedReason::NotListed),
            // A generation that no applied file names: its update has not been applied yet.
            Some(_) if self.newest_generation(uri) != Some(keys.generation) => {
                Err(DeniedReason::NotAuthorised)
            }
            Some(_) => Ok(()),
        }
    }

    /// Others may call and write to the user.
    pub fn reachable(&self, uri: &Uri, now: Timestamp) -> bool {
        !self.blacklist.contains(uri) && self.user(uri, now).is_some_and(|user| user.listed)
    }

    /// CA certificates against which a client certificate is checked: those that the newest update
    /// file names. A CA that it does not name is retired, whatever older files say
    /// (docs/adr/the-newest-file-names-the-cas.md).
    pub fn cas(&self) -> &[CertificateDer<'static>] {
        self.newest().map_or(&[], |index| &index.cas)
    }

    /// The same by their keys.
    pub(super) fn issuers(&self) -> &[IssuerId] {
        &self.issuers
    }

    /// Current and next month, where they are applied: what clients are offered.
    pub fn offered(&self, now: Timestamp) -> impl Iterator<Item = &Arc<PeriodIndex>> {
        let month = Period::at(now);
        [month, month.next()].into_iter().filter_map(|period| self.periods.get(&period))
    }

    /// Periods whose keys a lookup returns: in force or still needed to read what was sealed or
    /// signed before; newest first.
    pub fn published(&self, now: Timestamp) -> impl Iterator<Item = &Arc<PeriodIndex>> {
        let month = Period::at(now);
        let kept =
            move |period: Period| now < period.end().plus(crs_types::limits::MESSAGE_RETENTION);
        self.periods.values().rev().filter(move |index| index.period <= month && kept(index.period))
    }

    fn names(&self, other: &AccountId, now: Timestamp) -> bool {
        self.current(now).is_some_and(|index| index.connected.contains(other))
    }
}
