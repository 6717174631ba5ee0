//! `reload account`: takes hand edits of the blacklist files over into the store.

use std::io;

use crs_admin_api::AdminError;
use crs_admin_api::command::reload_account::{ReloadRow, Reply};
use crs_proto::wire::life::UnregisteredReason;
use crs_storage::command::control::{Account, BLACKLIST_CHANGE_MAX};
use crs_types::Uri;

use super::{blacklist, on_disk};
use crate::admin::AdminContext;
use crate::admin::files::{self, BlacklistFile};

pub(super) async fn run(context: &AdminContext) -> Result<Reply, AdminError> {
    let control = context.store.control();
    let mut rows = Vec::with_capacity(control.accounts.len());
    for account in control.accounts.values() {
        rows.push(reload(context, account).await?);
    }
    Ok(rows)
}

async fn reload(context: &AdminContext, account: &Account) -> Result<ReloadRow, AdminError> {
    let mut row = ReloadRow {
        account: account.id.clone(),
        blocked: 0,
        unblocked: 0,
        closed: 0,
        problems: Vec::new(),
    };
    let (root, id) = (context.facts.accounts_dir.clone(), account.id.clone());
    match on_disk(move || files::read_blacklist(&root, &id)).await? {
        Ok(Some(file)) => take_over(context, account, file, &mut row).await?,
        // Nobody wrote one, or somebody lost it: neither means that all may come in again.
        Ok(None) => blacklist::mirror(context, &account.id).await?,
        Err(error) => row.problems.push(unreadable(&error)),
    }
    restore_updates(context, account, &mut row).await?;
    Ok(row)
}

/// With lines that are no numbers, nobody is let in: a typing mistake must not unblock.
async fn take_over(
    context: &AdminContext,
    account: &Account,
    file: BlacklistFile,
    row: &mut ReloadRow,
) -> Result<(), AdminError> {
    let new = file.users.iter().filter(|uri| !account.blacklist.contains_key(*uri));
    let gone = account.blacklist.keys().filter(|uri| !file.users.contains(*uri));
    // First who goes: it makes room.
    if file.problems.is_empty() {
        let gone: Vec<Uri> = gone.cloned().collect();
        for part in gone.chunks(BLACKLIST_CHANGE_MAX) {
            blacklist::change(context, &account.id, &[], part).await?;
            row.unblocked += part.len() as u64;
        }
    }
    let new: Vec<Uri> = new.cloned().collect();
    for part in new.chunks(BLACKLIST_CHANGE_MAX) {
        blacklist::change(context, &account.id, part, &[]).await?;
        row.blocked += part.len() as u64;
    }
    context.loaded().await;
    for uri in &file.users {
        row.closed += context.drop_user(&account.id, uri, UnregisteredReason::Blacklisted);
    }
    row.problems = file.problems;
    Ok(())
}

/// Update files that somebody removed are written again; the store has them.
async fn restore_updates(
    context: &AdminContext,
    account: &Account,
    row: &mut ReloadRow,
) -> Result<(), AdminError> {
    let root = &context.facts.accounts_dir;
    for (period, update) in &account.updates {
        let (root, id, period) = (root.clone(), account.id.clone(), *period);
        let has = on_disk({
            let (root, id) = (root.clone(), id.clone());
            move || files::has_update(&root, &id, period)
        });
        if has.await? {
            continue;
        }
        let restored = match context.store.get_blob(update.blob).await {
            Ok(bytes) => on_disk(move || files::write_update(&root, &id, period, &bytes))
                .await?
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = restored {
            row.problems.push(format!("{period}: {why}"));
        }
    }
    Ok(())
}

fn unreadable(error: &io::Error) -> String {
    format!("the blacklist file cannot be read: {error}")
}
