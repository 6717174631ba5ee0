//! `purge client|clients`: closes connections, keeps everything stored (D-18).

use crs_admin_api::command::{purge_client, purge_clients};
use crs_admin_api::{AdminError, Code};
use crs_proto::wire::life::UnregisteredReason;

use crate::admin::{AdminContext, errors};

pub(super) fn client(
    context: &AdminContext,
    request: purge_client::Request,
) -> Result<purge_client::Reply, AdminError> {
    let purge_client::Request { account, uri } = request;
    if context.store.control().account(&account).is_none() {
        return Err(errors::no_account(&account));
    }
    match context.drop_user(&account, &uri, UnregisteredReason::Purged) {
        0 => {
            let message = format!("{uri} of account {account} is not attached");
            Err(AdminError::new(Code::NotAttached, message))
        }
        closed => Ok(purge_client::Reply { account, uri: uri.to_string(), closed }),
    }
}

pub(super) fn clients(
    context: &AdminContext,
    request: purge_clients::Request,
) -> Result<purge_clients::Reply, AdminError> {
    let account = request.account;
    if context.store.control().account(&account).is_none() {
        return Err(errors::no_account(&account));
    }
    let closed = context.drop_of_account(&account, |_| Some(UnregisteredReason::Purged));
    Ok(purge_clients::Reply { account, closed })
}
