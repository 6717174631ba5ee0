//! `health-check`: the node's own checks, and the tests that the probe's clients make.

use std::sync::Arc;

use crs_admin_api::command::doctor::{Check, Verdict};
use crs_admin_api::command::health_check::{Health, Reply, Request, Test, What};
use crs_admin_api::{AdminError, Code};
use crs_types::{AccountId, Period};

use crate::accounts::Account;
use crate::admin::{AdminContext, doctor, errors};

pub(super) async fn run(context: &AdminContext, request: Request) -> Result<Reply, AdminError> {
    let _turn = Arc::clone(&context.probes).try_acquire_owned().map_err(|_| {
        let hint = "wait until the other crs-cli health-check has ended";
        AdminError::with_hint(Code::Busy, "another health check is running", hint)
    })?;
    let tests = match request.what {
        What::System => system(context, request.local_only).await,
        What::Account(id) => account(context, id, request.local_only).await?,
    };
    Ok(Reply::of(context.server(), context.now().to_string(), tests))
}

async fn system(context: &AdminContext, local_only: bool) -> Vec<Test> {
    let mut tests: Vec<Test> = Vec::new();
    // Accounts are looked at by `health-check account`, each for itself.
    let groups = ["node", "storage", "system"].map(str::to_owned);
    for check in doctor::checks(context, &groups).await {
        tests.push(test(check));
    }
    tests.extend(context.probe.system(local_only).await);
    tests
}

async fn account(
    context: &AdminContext,
    id: AccountId,
    local_only: bool,
) -> Result<Vec<Test>, AdminError> {
    let view = context.accounts.view();
    let account = view.account(&id).cloned().ok_or_else(|| errors::no_account(&id))?;
    let mut tests = updates(context, &account);
    tests.extend(context.probe.account(account.id.clone(), local_only).await);
    Ok(tests)
}

fn test(check: Check) -> Test {
    let result = match check.result {
        Verdict::Ok => Health::Ok,
        Verdict::Warn => Health::Warning,
        Verdict::Fail => Health::Error,
    };
    let description = match (check.cause, check.fix) {
        (Some(cause), Some(fix)) => format!("{}: {cause}; try: {fix}", check.description),
        _ => check.description,
    };
    Test { name: check.name, result, description, ms: 0 }
}

/// This month missing is an error; the next one a warning from the 21st, an error on the last
/// day.
fn updates(context: &AdminContext, account: &Account) -> Vec<Test> {
    let now = context.now();
    let month = Period::at(now);
    let last_day = Period::at(now.plus(std::time::Duration::from_secs(86_400))) != month;
    let missing_next = if last_day {
        Health::Error
    } else if Period::wanted_early(now).is_some() {
        Health::Warning
    } else {
        Health::Ok
    };
    [("update-current", month, Health::Error), ("update-next", month.next(), missing_next)]
        .into_iter()
        .map(|(name, period, missing)| {
            let (result, description) = match account.periods.get(&period) {
                Some(index) => (Health::Ok, format!("{period}: {} users", index.len())),
                None => (missing, format!("{period}: not applied")),
            };
            Test { name: name.to_owned(), result, description, ms: 0 }
        })
        .collect()
}
