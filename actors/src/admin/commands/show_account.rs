//! `show account`: one process serves all accounts of a node.

use crs_admin_api::AdminError;
use crs_admin_api::command::show_account::{ModuleRow, Reply, Request};

use crate::admin::{AdminContext, errors};

pub(super) fn run(context: &AdminContext, request: &Request) -> Result<Reply, AdminError> {
    let view = context.accounts.view();
    let loaded_accounts: Vec<String> = match &request.account {
        None => view.accounts.values().map(|account| account.id.to_string()).collect(),
        Some(id) => {
            let account = view.account(id).ok_or_else(|| errors::no_account(id))?;
            vec![account.id.to_string()]
        }
    };
    Ok(vec![ModuleRow {
        server: context.server(),
        module: "app:attach".to_owned(),
        pid: std::process::id(),
        loaded_accounts,
    }])
}
