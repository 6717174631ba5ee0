//! `blacklist add|remove`: durable first, then in force, then mirrored to the account's file.

use crs_admin_api::AdminError;
use crs_admin_api::command::{blacklist_add, blacklist_remove};
use crs_proto::wire::life::UnregisteredReason;
use crs_storage::command::control::{
    BlacklistAdd, BlacklistChange, BlacklistRemove, ControlCommand,
};
use crs_types::{AccountId, Uri};

use super::{canonical, on_disk, propose};
use crate::admin::{AdminContext, errors, files};

pub(super) async fn add(
    context: &AdminContext,
    request: blacklist_add::Request,
) -> Result<blacklist_add::Reply, AdminError> {
    let blacklist_add::Request { account, uri } = request;
    let changed = block(context, &account, &uri).await?;
    context.loaded().await;
    let closed = context.drop_user(&account, &uri, UnregisteredReason::Blacklisted);
    mirror(context, &account).await?;
    let result = if changed { "blocked" } else { "already blocked" };
    let account = canonical(context, account);
    Ok(blacklist_add::Reply { account, uri: uri.to_string(), result: result.to_owned(), closed })
}

pub(super) async fn remove(
    context: &AdminContext,
    request: blacklist_remove::Request,
) -> Result<blacklist_remove::Reply, AdminError> {
    let blacklist_remove::Request { account, uri } = request;
    let changed = unblock(context, &account, &uri).await?;
    context.loaded().await;
    mirror(context, &account).await?;
    let result = if changed { "unblocked" } else { "was not blocked" };
    let account = canonical(context, account);
    Ok(blacklist_remove::Reply { account, uri: uri.to_string(), result: result.to_owned() })
}

async fn block(context: &AdminContext, account: &AccountId, uri: &Uri) -> Result<bool, AdminError> {
    let (account, uri) = (account.clone(), uri.clone());
    let command = BlacklistAdd { account, uri, time: context.now() };
    propose(context, ControlCommand::BlacklistAdd(command)).await
}

async fn unblock(
    context: &AdminContext,
    account: &AccountId,
    uri: &Uri,
) -> Result<bool, AdminError> {
    let (account, uri) = (account.clone(), uri.clone());
    propose(context, ControlCommand::BlacklistRemove(BlacklistRemove { account, uri })).await
}

/// Many at once, at most [`crs_storage::command::control::BLACKLIST_CHANGE_MAX`].
pub(super) async fn change(
    context: &AdminContext,
    account: &AccountId,
    add: &[Uri],
    remove: &[Uri],
) -> Result<bool, AdminError> {
    let (account, add, remove) = (account.clone(), add.to_vec(), remove.to_vec());
    let command = BlacklistChange { account, add, remove, time: context.now() };
    propose(context, ControlCommand::BlacklistChange(command)).await
}

/// Writes the account's blacklist file as the store has it.
pub(super) async fn mirror(context: &AdminContext, account: &AccountId) -> Result<(), AdminError> {
    let control = context.store.control();
    let Some(stored) = control.account(account).cloned() else { return Ok(()) };
    let root = context.facts.accounts_dir.clone();
    let path = files::directory(&root, &stored.id).join("blacklist");
    let write = move || files::write_blacklist(&root, &stored.id, stored.blacklist.keys());
    on_disk(write).await?.map_err(|error| errors::file(&path, &error))
}
