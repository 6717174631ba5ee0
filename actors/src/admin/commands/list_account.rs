//! `list account`: secrets masked unless revealed.

use crs_admin_api::command::list_account::{AccountRow, Reply, Request};
use crs_admin_api::{AdminError, Code, SecretText};
use crs_keys::update::CmsPublicKey;
use crs_storage::command::control::Account;

use super::create_account::{not_pinned, seal_context};
use crate::admin::{AdminContext, files};

pub(super) fn run(context: &AdminContext, request: &Request) -> Result<Reply, AdminError> {
    let control = context.store.control();
    control.accounts.values().map(|account| row(context, account, request.reveal)).collect()
}

fn row(context: &AdminContext, account: &Account, reveal: bool) -> Result<AccountRow, AdminError> {
    let shared_secret = if reveal {
        let opened = context.sealer.open(&seal_context(&account.id), account.secret.as_bytes());
        let secret = opened.map_err(|error| {
            AdminError::new(Code::Internal, format!("secret of account {}: {error}", account.id))
        })?;
        SecretText::new(secret.to_base64().as_str())
    } else {
        SecretText::masked()
    };
    let key = account.cms_key.as_deref().and_then(|key| CmsPublicKey::from_bytes(key).ok());
    Ok(AccountRow {
        id: account.id.clone(),
        path: files::directory(&context.facts.accounts_dir, &account.id).display().to_string(),
        shared_secret,
        cms_key: key.map_or_else(not_pinned, |key| key.fingerprint()),
    })
}
