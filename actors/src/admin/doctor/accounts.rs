//! The accounts' directory, and their updates of this month and the next.

use std::fs;

use crs_admin_api::command::doctor::Check;
use crs_types::{Period, Timestamp, shell};

use super::{fail, ok, warn};
use crate::admin::AdminContext;

const GROUP: &str = "accounts";
const NONE_YET: &str = "there is no account yet";
const DAY: u64 = 86_400;
/// First tier of the events (`cert expiring`).
const CA_WARNING_DAYS: u64 = 30;

/// The node writes update files and blacklists there.
pub(super) fn directory(context: &AdminContext) -> Check {
    let name = "accounts-directory";
    let path = &context.facts.accounts_dir;
    let shown = path.display();
    let found = fs::metadata(path).map(|meta| (meta.is_dir(), meta.permissions().readonly()));
    let make = &context.facts.commands.make_folder;
    let fix = format!("{make} {}", shell::word(&shown.to_string()));
    match found {
        Ok((true, false)) => ok(GROUP, name, shown.to_string()),
        Ok(_) => {
            let check = ok(GROUP, name, format!("{shown} is no directory that can be written"));
            fail(check, "update files and blacklists cannot be placed there", &fix)
        }
        Err(_) if context.store.control().accounts.is_empty() => {
            ok(GROUP, name, format!("{shown} is made with the first account"))
        }
        Err(error) => {
            let check = ok(GROUP, name, format!("{shown}: {error}"));
            fail(check, "update files and blacklists cannot be placed there", &fix)
        }
    }
}

/// A node that nobody can use yet is neither in order nor broken: it waits for its first account.
pub(super) fn first_account(context: &AdminContext) -> Check {
    let name = "first-account";
    match context.store.control().accounts.len() {
        0 => {
            let cause = "nobody can attach yet: create an account, make its users and keys with \
                         crs-cms, then apply the update file that comes of it";
            warn(ok(GROUP, name, NONE_YET), cause, "crs-cli create account --help")
        }
        1 => ok(GROUP, name, "1 account"),
        count => ok(GROUP, name, format!("{count} accounts")),
    }
}

pub(super) fn updates_current(context: &AdminContext) -> Check {
    let name = "updates-current";
    if context.store.control().accounts.is_empty() {
        return ok(GROUP, name, NONE_YET);
    }
    let month = Period::at(context.now());
    let missing = missing(context, month);
    if missing.is_empty() {
        return ok(GROUP, name, format!("all accounts have {month}"));
    }
    let check = ok(GROUP, name, format!("without {month}: {}", missing.join(", ")));
    let cause = "clients of these accounts cannot attach, or soon cannot; the account's CMS makes \
                 the file (crs-cms update create)";
    fail(check, cause, &format!("crs-cli apply {month}.upd"))
}

pub(super) fn updates_next(context: &AdminContext) -> Check {
    let name = "updates-next";
    if context.store.control().accounts.is_empty() {
        return ok(GROUP, name, NONE_YET);
    }
    let now = context.now();
    let next = Period::at(now).next();
    let missing = missing(context, next);
    if missing.is_empty() {
        return ok(GROUP, name, format!("all accounts have {next}"));
    }
    let check = ok(GROUP, name, format!("without {next}: {}", missing.join(", ")));
    if Period::wanted_early(now).is_none() {
        return check;
    }
    let cause = "clients that are seldom on-line need time to fetch next month's keys";
    warn(check, cause, &format!("crs-cli apply {next}.upd"))
}

/// When the CA certificate of an account that lasts longest ends, none of its users gets in.
pub(super) fn authorities(context: &AdminContext) -> Check {
    let name = "authorities";
    let now = context.now();
    let found = context.facts.watched.found().authorities;
    let left = |end: Timestamp| end.since(now).as_secs() / DAY;
    let soon: Vec<_> = found.iter().filter(|(_, end)| left(*end) <= CA_WARNING_DAYS).collect();
    let Some(nearest) = soon.iter().map(|(_, end)| left(*end)).min() else {
        return ok(GROUP, name, "no account's CA certificate ends soon");
    };
    let list: Vec<_> = soon.iter().map(|(id, end)| format!("{id} at {end}")).collect();
    let check = ok(GROUP, name, format!("ends: {}", list.join(", ")));
    let cause = "the account's CMS must make a new CA certificate and an update file with it";
    let fix = format!("crs-cli apply {}.upd   # from the CMS administrator", Period::at(now));
    if nearest <= 1 { fail(check, cause, &fix) } else { warn(check, cause, &fix) }
}

fn missing(context: &AdminContext, period: Period) -> Vec<String> {
    let control = context.store.control();
    let accounts = control.accounts.values();
    accounts.filter(|a| !a.updates.contains_key(&period)).map(|a| a.id.to_string()).collect()
}
