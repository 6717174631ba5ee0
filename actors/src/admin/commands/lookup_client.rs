//! `lookup client`: own domain first, then the connected ones.

use std::sync::Arc;

use crs_admin_api::command::lookup_client::{Reply, Request};
use crs_admin_api::{AdminError, Code};
use crs_keys::update::open_inner;
use crs_types::BlobHash;

use super::on_disk;
use crate::accounts::Account;
use crate::admin::{AdminContext, errors};

pub(super) async fn run(context: &AdminContext, request: Request) -> Result<Reply, AdminError> {
    let Request { account, uri } = request;
    let now = context.now();
    let view = context.accounts.view();
    let own = view.account(&account).ok_or_else(|| errors::no_account(&account))?;
    let domains: Vec<Arc<Account>> =
        std::iter::once(Arc::clone(own)).chain(view.connected(own, now).cloned()).collect();
    let searched: Vec<String> = domains.iter().map(|domain| domain.id.to_string()).collect();
    let found = domains.iter().find_map(|domain| Some((domain, *domain.user(&uri, now)?)));
    let Some((domain, user)) = found else {
        let message = format!("{uri} is in none of: {}", searched.join(", "));
        return Err(AdminError::new(Code::NoSuchUser, message));
    };
    let attached = !context.node.directory.find(&domain.id, &uri).is_empty();
    let index = domain.current(now);
    let token = match index {
        Some(index) => domain_token(context, index.blob).await?,
        None => none(),
    };
    Ok(Reply {
        source: if attached { format!("local ({})", context.server()) } else { not_connected() },
        uri: uri.to_string(),
        domain: domain.id.to_string(),
        client_token: none(),
        domain_token: token,
        searched,
        listed: user.listed,
        blacklisted: domain.blacklist.contains(&uri),
        period: index.map(|index| index.period.to_string()).unwrap_or_default(),
        generation: user.generation.0,
    })
}

/// The token lies in the update file only; reading it takes a moment, which an operator has.
async fn domain_token(context: &AdminContext, blob: BlobHash) -> Result<String, AdminError> {
    let bytes = context.store.get_blob(blob).await.map_err(|e| errors::read(&e))?;
    let opened = on_disk(move || open_inner(&bytes)).await?;
    let update = opened.map_err(|e| errors::update(&e))?;
    let length = update.domain_token.0.len();
    Ok(match length {
        0 => none(),
        length => format!("{length} bytes, updated {}", update.created),
    })
}

fn none() -> String {
    "none".to_owned()
}

fn not_connected() -> String {
    "not connected".to_owned()
}
