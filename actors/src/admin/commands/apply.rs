//! `apply`: receive, open, check, store, load, copy to the account's directory (C-150, Q-34).

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crs_admin_api::command::apply::{Applied, CHUNK_MAX, FILE_MAX, Reply as Step, Request as Ask};
use crs_admin_api::{AdminError, Code, Reply};
use crs_keys::trust::domain_fingerprint;
use crs_keys::update::{
    CmsPublicKey, Opened, Pin, PinOutcome, UpdateFile, admissible, claimed_account, open,
};
use crs_ops::SystemEvent;
use crs_storage::command::control::{Account, ApplyUpdate, ControlCommand, UpdateRecord};
use crs_storage::store::WriteError;
use crs_types::{Period, Secret};
use tokio::sync::OwnedSemaphorePermit;

use super::create_account::seal_context;
use super::{offer, on_disk};
use crate::admin::{AdminContext, errors, files};

/// A fingerprint has 79 characters; of a longer text no more is repeated.
pub(in crate::admin) const SHOWN_MAX: usize = 100;

/// A file on its way in. One per node: the others wait their turn.
pub(in crate::admin) struct Upload {
    size: u64,
    bytes: Arc<Vec<u8>>,
    _place: OwnedSemaphorePermit,
}

/// The operator's decisions about a file.
struct Decision {
    force: bool,
    confirmed: Option<String>,
}

/// One step of the upload; its state lives in the connection.
pub(in crate::admin) async fn step(
    context: &AdminContext,
    upload: &mut Option<Upload>,
    step: Ask,
) -> Result<Reply, AdminError> {
    match step {
        Ask::Begin { size } => begin(context, upload, size).map(Reply::Apply),
        Ask::Chunk { offset, data } => {
            let received = chunk(upload, offset, &data);
            if received.is_err() {
                *upload = None;
            }
            received.map(Reply::Apply)
        }
        Ask::Finish { force, confirm_fingerprint } => {
            let bytes = finished(upload)?;
            let decision = Decision { force, confirmed: confirm_fingerprint };
            let reply = finish(context, bytes, decision).await;
            if !matches!(reply, Ok(Step::Unconfirmed { .. })) {
                *upload = None;
            }
            reply.map(Reply::Apply)
        }
    }
}

fn begin(
    context: &AdminContext,
    upload: &mut Option<Upload>,
    size: u64,
) -> Result<Step, AdminError> {
    *upload = None;
    if size > FILE_MAX {
        let message = format!("the file has {size} bytes, at most {FILE_MAX}");
        return Err(AdminError::new(Code::TooLarge, message));
    }
    let place = Arc::clone(&context.uploads).try_acquire_owned().map_err(|_| {
        let hint = "wait until the other crs-cli apply has ended";
        AdminError::with_hint(Code::Busy, "another update file is being applied", hint)
    })?;
    *upload = Some(Upload { size, bytes: Arc::default(), _place: place });
    Ok(Step::Received { bytes: 0 })
}

fn chunk(upload: &mut Option<Upload>, offset: u64, data: &str) -> Result<Step, AdminError> {
    let refuse = |why: &str| AdminError::new(Code::Malformed, format!("apply: {why}"));
    let upload = upload.as_mut().ok_or_else(|| refuse("a chunk before the begin"))?;
    let bytes = STANDARD.decode(data).map_err(|_| refuse("a chunk that is not base64"))?;
    let received = Arc::get_mut(&mut upload.bytes).ok_or_else(|| refuse("a chunk too late"))?;
    let end = offset.saturating_add(bytes.len() as u64);
    if offset != received.len() as u64 || bytes.len() > CHUNK_MAX || end > upload.size {
        return Err(refuse("a chunk that does not follow the one before, or is too long"));
    }
    received.extend_from_slice(&bytes);
    Ok(Step::Received { bytes: end })
}

fn finished(upload: &Option<Upload>) -> Result<Arc<Vec<u8>>, AdminError> {
    match upload {
        Some(upload) if upload.bytes.len() as u64 == upload.size => Ok(Arc::clone(&upload.bytes)),
        Some(_) | None => {
            Err(AdminError::new(Code::Malformed, "apply: the file has not come whole"))
        }
    }
}

async fn finish(
    context: &AdminContext,
    bytes: Arc<Vec<u8>>,
    decision: Decision,
) -> Result<Step, AdminError> {
    let claimed = claimed_account(&bytes).map_err(|e| errors::update(&e))?;
    let control = context.store.control();
    let account = control.account(&claimed).ok_or_else(|| errors::no_account(&claimed))?;
    let opened = open_file(context, account, bytes).await?;
    let confirmed = confirmed(&opened, decision.confirmed.as_deref())?;
    if opened.pin == PinOutcome::FirstUse && !confirmed {
        let fingerprint = opened.cms_key.fingerprint();
        return Ok(Step::Unconfirmed { account: account.id.clone(), fingerprint });
    }
    check(context, account, &opened.update, decision.force)?;
    let replace_key = opened.pin == PinOutcome::Succeeded;
    let Opened { update, inner_bytes, cms_key, .. } = opened;
    let inner = Arc::new(inner_bytes);
    store(context, account, &update, &inner, (cms_key, replace_key)).await?;
    let loaded = context.loaded().await;
    let closed = end_revoked(context, account);
    if let Some(loaded) = context.accounts.view().account(&account.id) {
        offer::to_attached(context, loaded).await;
    }
    copy(context, account, update.period, inner).await?;
    context.notify(SystemEvent::UpdateApplied);
    if !loaded {
        let message = "the update is stored, but this node has not loaded it yet";
        let hint = "look at `crs-cli show updates` in a minute, then at `crs-cli doctor`";
        return Err(AdminError::with_hint(Code::Timeout, message, hint));
    }
    Ok(Step::Applied(Applied {
        account: account.id.clone(),
        period: update.period,
        serial: update.serial,
        created: update.created.to_string(),
        users: update.users.len() as u64,
        cms_key: cms_key.fingerprint(),
        closed,
    }))
}

/// Decrypting and checking up to 256 MiB takes a thread of its own for a while.
async fn open_file(
    context: &AdminContext,
    account: &Account,
    bytes: Arc<Vec<u8>>,
) -> Result<Opened, AdminError> {
    let secret = account_secret(context, account)?;
    let pinned = account.cms_key.as_deref().map(CmsPublicKey::from_bytes).transpose();
    let pinned = pinned.map_err(|error| AdminError::new(Code::Internal, error.to_string()))?;
    let id = account.id.clone();
    let opened = on_disk(move || {
        let pin = pinned.as_ref().map_or(Pin::FirstUse, Pin::Key);
        open(&bytes, &secret, &id, pin)
    });
    opened.await?.map_err(|e| errors::update(&e))
}

fn account_secret(context: &AdminContext, account: &Account) -> Result<Secret, AdminError> {
    let opened = context.sealer.open(&seal_context(&account.id), account.secret.as_bytes());
    opened.map_err(|error| {
        AdminError::new(Code::Internal, format!("secret of account {}: {error}", account.id))
    })
}

/// Whether the operator has named the key's fingerprint; naming another one is an error, also when
/// the key is known: somebody compared, and found something else.
fn confirmed(opened: &Opened, named: Option<&str>) -> Result<bool, AdminError> {
    let Some(named) = named else { return Ok(false) };
    let expected = opened.cms_key.fingerprint();
    if folded(named) == folded(&expected) {
        return Ok(true);
    }
    if is_domains(&opened.update, named) {
        let message = format!(
            "that is the domain fingerprint, which organisations compare with each other; expected \
             the CMS fingerprint, which is {expected} in this file"
        );
        let hint =
            "ask the CMS administrator for the line \"CMS fingerprint\" of crs-cms fingerprint";
        return Err(AdminError::with_hint(Code::WrongCmsKey, message, hint));
    }
    let named: String = named.chars().take(SHOWN_MAX).collect();
    let message = format!(
        "the CMS key that signed the file has the CMS fingerprint {expected}; given was {named}"
    );
    Err(AdminError::new(Code::WrongCmsKey, message))
}

/// `crs-cms fingerprint` prints two; this is the other one.
fn is_domains(update: &UpdateFile, named: &str) -> bool {
    let cas = update.cas.iter().map(|ca| ca.as_slice());
    folded(named) == folded(&domain_fingerprint(&update.account, cas))
}

/// Fingerprints are compared as people write them: in any case, with spaces or colons.
fn folded(fingerprint: &str) -> String {
    let significant = fingerprint.chars().filter(char::is_ascii_alphanumeric);
    significant.map(|c| c.to_ascii_lowercase()).collect()
}

/// Serial and period: the serial against the newest of the account, whatever the month. The
/// file that is applied for its month may come again.
fn check(
    context: &AdminContext,
    account: &Account,
    update: &UpdateFile,
    force: bool,
) -> Result<(), AdminError> {
    let applied = account.updates.get(&update.period).map(|record| record.serial);
    let again = applied.filter(|serial| *serial == update.serial);
    let newest = again.or(account.newest_serial);
    let admitted = admissible(update, context.now(), newest, force);
    let superseded = applied.is_some_and(|serial| serial > update.serial)
        || update.period < Period::at(context.now());
    let remake = (!superseded).then_some(update.period);
    admitted.map(|_| ()).map_err(|e| errors::inadmissible(&e, remake))
}

async fn store(
    context: &AdminContext,
    account: &Account,
    update: &UpdateFile,
    inner: &Arc<Vec<u8>>,
    (cms_key, replace_key): (CmsPublicKey, bool),
) -> Result<(), AdminError> {
    let put = context.store.put_blob(Arc::clone(inner)).await.map_err(|e| errors::write(&e))?;
    let now = context.now();
    let command = ApplyUpdate {
        account: account.id.clone(),
        update: UpdateRecord {
            period: update.period,
            serial: update.serial,
            created: update.created,
            applied: now,
            blob: put.hash(),
            size: inner.len() as u64,
        },
        cms_key: cms_key.0.to_vec(),
        replace_key,
        current: Period::at(now),
    };
    let outcome = context.store.propose(ControlCommand::ApplyUpdate(command)).await;
    // A command whose outcome is unknown may yet be applied, and needs its blob then.
    if !matches!(outcome, Err(WriteError::Unknown | WriteError::Stopped)) {
        put.decided();
    }
    let confirmed = outcome.map_err(|e| errors::write(&e))?;
    confirmed.reply.into_result().map(|_| ()).map_err(|e| errors::refusal(&e))
}

/// A revoked generation is out at once, and so is whoever a retired CA has certified or who is no
/// longer in the account.
fn end_revoked(context: &AdminContext, account: &Account) -> u64 {
    let (view, now) = (context.accounts.view(), context.now());
    context.drop_of_account(&account.id, |registration| view.ends_registration(registration, now))
}

async fn copy(
    context: &AdminContext,
    account: &Account,
    period: Period,
    bytes: Arc<Vec<u8>>,
) -> Result<(), AdminError> {
    let (root, id) = (context.facts.accounts_dir.clone(), account.id.clone());
    let path = files::directory(&root, &id).join(period.to_string());
    let written = on_disk(move || files::write_update(&root, &id, period, &bytes)).await?;
    written.map_err(|error| errors::file(&path, &error))
}
