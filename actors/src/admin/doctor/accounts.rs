//! The accounts' directory, and their updates of this month and the next.

use std::fs;

use crs_admin_api::command::doctor::Check;
use crs_types::Period;

use super::{fail, ok, warn};
use crate::admin::AdminContext;

const GROUP: &str = "accounts";
/// From this day on the next month's update should be there.
const NEXT_MONTH_WARNING_DAY: u32 = 21;

/// The node writes update files and blacklists there.
pub(super) fn directory(context: &AdminContext) -> Check {
    let name = "accounts-directory";
    let path = &context.facts.accounts_dir;
    let shown = path.display();
    let found = fs::metadata(path).map(|meta| (meta.is_dir(), meta.permissions().readonly()));
    let fix = format!("install -d -o crsuser -g crsuser -m 750 {shown}");
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

pub(super) fn updates_current(context: &AdminContext) -> Check {
    let name = "updates-current";
    let month = Period::at(context.now());
    let missing = missing(context, month);
    if missing.is_empty() {
        return ok(GROUP, name, format!("all accounts have {month}"));
    }
    let check = ok(GROUP, name, format!("without {month}: {}", missing.join(", ")));
    let cause = "clients of these accounts cannot attach, or soon cannot";
    fail(check, cause, &format!("crs-cli apply {month}.upd"))
}

pub(super) fn updates_next(context: &AdminContext) -> Check {
    let name = "updates-next";
    let now = context.now();
    let next = Period::at(now).next();
    let missing = missing(context, next);
    let (_, _, day, ..) = now.civil();
    if missing.is_empty() {
        return ok(GROUP, name, format!("all accounts have {next}"));
    }
    let check = ok(GROUP, name, format!("without {next}: {}", missing.join(", ")));
    if day < NEXT_MONTH_WARNING_DAY {
        return check;
    }
    let cause = "clients that are seldom on-line need time to fetch next month's keys";
    warn(check, cause, &format!("crs-cli apply {next}.upd"))
}

fn missing(context: &AdminContext, period: Period) -> Vec<String> {
    let control = context.store.control();
    let accounts = control.accounts.values();
    accounts.filter(|a| !a.updates.contains_key(&period)).map(|a| a.id.to_string()).collect()
}
