//! Builds the view from the control state and the update files' blobs. Accounts that have not
//! changed and files that an earlier view has indexed are taken over from it, so that a change costs
//! no more than the account it is about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crs_keys::update::{self, UpdateError, UpdateFile};
use crs_storage::command::control::{Account as Record, ControlState, UpdateRecord};
use crs_types::{BlobHash, Generation};
use futures_util::future::BoxFuture;

use super::index::{IndexError, PeriodContent, PeriodIndex, UserRow};
use super::view::{Account, AccountsView};

/// Reads whole update files.
pub trait UpdateBlobs: Send + Sync {
    /// The content of a blob.
    fn load(&self, blob: BlobHash) -> BoxFuture<'static, std::io::Result<Vec<u8>>>;
}

/// An update file that is recorded but cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The blob cannot be read.
    #[error("update file {blob}: {error}")]
    Blob {
        /// Its name.
        blob: BlobHash,
        /// Why.
        error: std::io::Error,
    },
    /// The content is not an update file.
    #[error(transparent)]
    Content(#[from] UpdateError),
    /// The content cannot be indexed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The reading task failed.
    #[error("indexing failed: {0}")]
    Task(String),
}

/// The view of `state`. An update file that cannot be read is left out and logged: its users
/// cannot attach, everybody else can.
pub async fn load(
    state: &ControlState,
    before: &AccountsView,
    blobs: &dyn UpdateBlobs,
) -> AccountsView {
    let mut accounts = BTreeMap::new();
    for (id, record) in &state.accounts {
        let known = before.account(id).filter(|account| account.is_of(record));
        let account = match known {
            Some(same) => Arc::clone(same),
            None => Arc::new(account(record, before, blobs).await),
        };
        accounts.insert(id.clone(), account);
    }
    AccountsView { version: state.version, accounts }
}

/// Indexes the content of one update file. CPU-bound: run it off the async threads.
pub fn index(bytes: &[u8], blob: BlobHash) -> Result<PeriodIndex, LoadError> {
    let file = update::open_inner(bytes)?;
    Ok(PeriodIndex::build(&content(&file), bytes, blob)?)
}

async fn account(record: &Arc<Record>, before: &AccountsView, blobs: &dyn UpdateBlobs) -> Account {
    let known = before.account(&record.id);
    let mut periods = BTreeMap::new();
    for (period, update) in &record.updates {
        let same = known.and_then(|account| account.periods.get(period));
        let same = same.filter(|index| index.blob == update.blob).cloned();
        let index = match same {
            Some(index) => Ok(index),
            None => read(update, blobs).await.map(Arc::new),
        };
        match index {
            Ok(index) => {
                periods.insert(*period, index);
            }
            Err(error) => {
                tracing::error!(account = %record.id, %period, %error, "update not loaded")
            }
        }
    }
    let blacklist: BTreeSet<_> = record.blacklist.keys().cloned().collect();
    let complete = periods.len() == record.updates.len();
    let account = Account::new(record.id.clone(), periods, blacklist);
    // What could not be read is tried again at the next change.
    if complete { account.of(record) } else { account }
}

async fn read(update: &UpdateRecord, blobs: &dyn UpdateBlobs) -> Result<PeriodIndex, LoadError> {
    let blob = update.blob;
    let bytes = blobs.load(blob).await.map_err(|error| LoadError::Blob { blob, error })?;
    let indexing = tokio::task::spawn_blocking(move || index(&bytes, blob));
    indexing.await.map_err(|e| LoadError::Task(e.to_string()))?
}

fn content(file: &UpdateFile) -> PeriodContent<'_> {
    PeriodContent {
        period: file.period,
        serial: file.serial,
        cas: file.cas.iter().map(crs_keys::cbor::Bytes::as_slice).collect(),
        trust: file.trust.as_slice(),
        connected: file.connected.iter().map(|c| c.account.clone()).collect(),
        team_codes: file.team_codes.len(),
        users: file
            .users
            .iter()
            .map(|user| UserRow {
                uri: &user.uri,
                listed: user.listed,
                generation: Generation(user.generation),
                sign_cert: user.sign_cert.as_slice(),
                kem_cert: user.kem_cert.as_slice(),
                package: user.sealed.as_slice(),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use crs_storage::command::Sealed;
    use crs_types::{AccountId, Period, Timestamp, Uri};
    use futures_util::FutureExt;

    use super::*;

    struct Broken;

    impl UpdateBlobs for Broken {
        fn load(&self, _: BlobHash) -> BoxFuture<'static, io::Result<Vec<u8>>> {
            async { Err(io::Error::other("planted")) }.boxed()
        }
    }

    fn id(name: &str) -> AccountId {
        AccountId::parse(name).unwrap()
    }

    fn record(name: &str) -> Arc<Record> {
        Arc::new(Record {
            id: id(name),
            secret: Sealed::from(Vec::new()),
            cms_key: None,
            created: Timestamp::from_secs(1),
            blacklist: BTreeMap::new(),
            newest_serial: None,
            updates: BTreeMap::new(),
        })
    }

    fn same(a: &AccountsView, b: &AccountsView, name: &str) -> bool {
        Arc::ptr_eq(a.account(&id(name)).unwrap(), b.account(&id(name)).unwrap())
    }

    #[tokio::test]
    async fn an_account_is_built_anew_only_when_its_record_has_changed() {
        let mut state = ControlState::default();
        for name in ["acme", "brick", "torn"] {
            state.accounts.insert(id(name), record(name));
        }
        let torn = Arc::make_mut(state.accounts.get_mut(&id("torn")).unwrap());
        let period = Period::at(Timestamp::from_secs(1_800_000_000));
        let (created, applied) = (torn.created, torn.created);
        let blob = BlobHash([7; 32]);
        let update = UpdateRecord { period, serial: 1, created, applied, blob, size: 1 };
        torn.updates.insert(period, update);
        let first = load(&state, &AccountsView::default(), &Broken).await;
        let acme = Arc::make_mut(state.accounts.get_mut(&id("acme")).unwrap());
        acme.blacklist.insert(Uri::parse("+46701").unwrap(), Timestamp::from_secs(2));
        let second = load(&state, &first, &Broken).await;
        assert!(!same(&first, &second, "acme") && same(&first, &second, "brick"));
        assert!(second.account(&id("acme")).unwrap().blacklist.len() == 1);
        assert!(!same(&first, &second, "torn"), "what could not be read is tried again");
    }
}
