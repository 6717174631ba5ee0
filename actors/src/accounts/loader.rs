//! Builds the view from the control state and the update files' blobs. Files that an earlier view
//! has indexed are taken over from it, so that a change costs no more than what is new.

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
        let account = account(record, before, blobs).await;
        accounts.insert(id.clone(), Arc::new(account));
    }
    AccountsView { version: state.version, accounts }
}

/// Indexes the content of one update file. CPU-bound: run it off the async threads.
pub fn index(bytes: &[u8], blob: BlobHash) -> Result<PeriodIndex, LoadError> {
    let file = update::open_inner(bytes)?;
    Ok(PeriodIndex::build(&content(&file), bytes, blob)?)
}

async fn account(record: &Record, before: &AccountsView, blobs: &dyn UpdateBlobs) -> Account {
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
    Account::new(record.id.clone(), periods, blacklist)
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
