//! `show blacklist`.

use crs_admin_api::AdminError;
use crs_admin_api::command::show_blacklist::{BlacklistRow, Reply, Request};

use crate::admin::{AdminContext, errors};

pub(super) fn run(context: &AdminContext, request: &Request) -> Result<Reply, AdminError> {
    let control = context.store.control();
    let account =
        control.account(&request.account).ok_or_else(|| errors::no_account(&request.account))?;
    Ok(account.blacklist.keys().map(|uri| BlacklistRow { uri: uri.to_string() }).collect())
}
