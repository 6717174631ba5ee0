//! `show updates`.

use crs_admin_api::command::show_updates::{NOT_AVAILABLE, Reply, UpdatesRow};
use crs_types::Period;

use crate::admin::AdminContext;

pub(super) fn run(context: &AdminContext) -> Reply {
    let month = Period::at(context.now());
    let view = context.accounts.view();
    let control = context.store.control();
    let row = |account: &crs_storage::command::control::Account| {
        let created = |period: Period| {
            let update = account.updates.get(&period);
            update.map_or_else(|| NOT_AVAILABLE.to_owned(), |update| update.created.to_string())
        };
        let loaded = view.account(&account.id);
        let users = loaded.and_then(|a| a.periods.get(&month)).map_or(0, |index| index.len());
        UpdatesRow {
            account: account.id.clone(),
            current_month: created(month),
            next_month: created(month.next()),
            current_serial: account.updates.get(&month).map_or(0, |update| update.serial),
            users: users as u64,
        }
    };
    control.accounts.values().map(|account| row(account)).collect()
}
