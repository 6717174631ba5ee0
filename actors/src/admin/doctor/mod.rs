//! The checks of a running node: each looks at one thing and says what it saw. All of them run,
//! whatever the others find. Their names are listed in `crs_admin_api`, their remedies explained
//! in docs/troubleshooting.md.

mod accounts;
mod machine;
mod node;
mod storage;

use crs_admin_api::command::doctor::{Check, Verdict};

use super::AdminContext;

/// Runs the checks that `only` names (all when empty).
pub(super) async fn checks(context: &AdminContext, only: &[String]) -> Vec<Check> {
    let mut out = Vec::new();
    let mut add = |check: Check| {
        if Check::wanted(&check.group, &check.name, only) {
            out.push(check);
        }
    };
    add(node::certificate(context));
    add(node::configuration(context));
    add(node::permissions(context));
    add(node::notify_script(context));
    add(node::relay(context));
    add(storage::store(context));
    add(storage::quorum(context));
    add(storage::disk(context));
    add(accounts::first_account(context));
    add(accounts::directory(context));
    add(accounts::updates_current(context));
    add(accounts::updates_next(context));
    add(accounts::authorities(context));
    add(machine::open_files(context));
    add(machine::memory());
    add(machine::clock(context));
    // The one that waits for the network comes last, and only when it is wanted.
    if Check::wanted("node", "listener", only) {
        out.push(node::listener(context).await);
    }
    out
}

fn ok(group: &str, name: &str, description: impl Into<String>) -> Check {
    Check::ok(group, name, description)
}

fn warn(check: Check, cause: &str, fix: &str) -> Check {
    check.finding(Verdict::Warn, cause, fix)
}

fn fail(check: Check, cause: &str, fix: &str) -> Check {
    check.finding(Verdict::Fail, cause, fix)
}
