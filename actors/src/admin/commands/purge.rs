//! `purge client|clients`: closes connections, keeps everything stored (D-18).

use crs_admin_api::command::{purge_client, purge_clients};
use crs_admin_api::{AdminError, Code};
use crs_proto::wire::life::UnregisteredReason;
use crs_types::AccountId;

use crate::admin::{AdminContext, errors};

pub(super) fn client(
    context: &AdminContext,
    request: purge_client::Request,
) -> Result<purge_client::Reply, AdminError> {
    let purge_client::Request { account, uri } = request;
    let account = existing(context, account)?;
    match context.drop_user(&account, &uri, UnregisteredReason::Purged) {
        0 => {
            let message = format!("{uri} of account {account} is not connected");
            Err(AdminError::new(Code::NotAttached, message))
        }
        closed => Ok(purge_client::Reply { account, uri: uri.to_string(), closed }),
    }
}

pub(super) fn clients(
    context: &AdminContext,
    request: purge_clients::Request,
) -> Result<purge_clients::Reply, AdminError> {
    let account = existing(context, request.account)?;
    let closed = context.drop_all_of_account(&account, UnregisteredReason::Purged);
    Ok(purge_clients::Reply { account, closed })
}

/// The account's id as it was created.
fn existing(context: &AdminContext, account: AccountId) -> Result<AccountId, AdminError> {
    let control = context.store.control();
    let stored = control.account(&account).map(|stored| stored.id.clone());
    stored.ok_or_else(|| errors::no_account(&account))
}
