//! `complete`: accounts and numbers that begin with what was typed.

use std::collections::BTreeSet;

use crs_admin_api::command::complete::{Kind, Reply, Request, VALUES_MAX, Value};

use crate::admin::AdminContext;

pub(super) fn run(context: &AdminContext, request: &Request) -> Reply {
    let control = context.store.control();
    let values: BTreeSet<String> = match &request.kind {
        Kind::Account => control.accounts.keys().map(ToString::to_string).collect(),
        Kind::Uri(account) => {
            context.node.directory.of_account(account).iter().map(|r| r.uri.to_string()).collect()
        }
        Kind::Blacklisted(account) => control
            .account(account)
            .map(|account| account.blacklist.keys().map(ToString::to_string).collect())
            .unwrap_or_default(),
    };
    values
        .into_iter()
        .filter(|value| value.starts_with(&request.prefix))
        .take(VALUES_MAX)
        .map(|value| Value { value })
        .collect()
}
