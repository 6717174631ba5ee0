//! `delete account`: gone from the store, from every connection, from the directory.

use crs_admin_api::AdminError;
use crs_admin_api::command::delete_account::{Reply, Request};
use crs_proto::wire::life::UnregisteredReason;
use crs_storage::command::control::{ControlCommand, DeleteAccount};

use super::{on_disk, propose};
use crate::admin::{AdminContext, errors, files};

pub(super) async fn run(context: &AdminContext, request: Request) -> Result<Reply, AdminError> {
    let control = context.store.control();
    let stored = control.account(&request.account);
    // The directory has the spelling of the account's creation.
    let account =
        stored.map(|a| a.id.clone()).ok_or_else(|| errors::no_account(&request.account))?;
    let command = DeleteAccount { id: account.clone() };
    propose(context, ControlCommand::DeleteAccount(command)).await?;
    context.loaded().await;
    let closed = context.drop_all_of_account(&account, UnregisteredReason::AccountDeleted);
    let (root, id) = (context.facts.accounts_dir.clone(), account.clone());
    let path = files::directory(&root, &account);
    let removed = on_disk(move || files::remove(&root, &id)).await?;
    removed.map_err(|error| errors::file(&path, &error))?;
    Ok(Reply { account, result: "deleted".to_owned(), closed })
}
