//! `complete`: accounts and numbers that begin with what was typed, as the command takes them.

use crs_admin_api::command::complete::{Kind, Reply, Request, VALUES_MAX, Value};
use crs_types::AccountId;

use crate::accounts::{Account, AccountsView};
use crate::admin::AdminContext;

pub(super) fn run(context: &AdminContext, request: &Request) -> Reply {
    let control = context.store.control();
    let view = context.accounts.view();
    let mut found = Found { prefix: &request.prefix, values: Vec::new() };
    match &request.kind {
        Kind::Account => found.take(control.accounts.keys().map(ToString::to_string)),
        Kind::Attached(account) => found.take(attached(context, account)),
        Kind::Uri(account) => {
            found.take(attached(context, account));
            found.users(context, view.account(account).map(AsRef::as_ref));
        }
        Kind::AnyUri => found.anybody(context, &view),
        Kind::Blacklisted(account) => {
            let blocked = control.account(account).map(|account| &account.blacklist);
            let blocked = blocked.into_iter().flat_map(|blacklist| blacklist.keys());
            found.take(blocked.map(ToString::to_string));
        }
    }
    found.values.into_iter().map(|value| Value { value }).collect()
}

/// In order, so that the first ones come whenever not all fit.
fn attached(context: &AdminContext, account: &AccountId) -> std::vec::IntoIter<String> {
    let registrations = context.node.directory.of_account(account);
    let mut uris: Vec<String> = registrations.iter().map(|r| r.uri.to_string()).collect();
    uris.sort_unstable();
    uris.into_iter()
}

/// Values that begin with the prefix, each once, at most [`VALUES_MAX`].
struct Found<'a> {
    prefix: &'a str,
    values: Vec<String>,
}

impl Found<'_> {
    fn take(&mut self, values: impl Iterator<Item = String>) {
        for value in values {
            if self.values.len() == VALUES_MAX {
                return;
            }
            if value.starts_with(self.prefix) && !self.values.contains(&value) {
                self.values.push(value);
            }
        }
    }

    /// The users of the update file in force, who need not be attached.
    fn users(&mut self, context: &AdminContext, account: Option<&Account>) {
        let now = context.now();
        let index = account.and_then(|account| account.current(now));
        let digits = self.prefix.strip_prefix('+').or(self.prefix.is_empty().then_some(""));
        if let (Some(index), Some(digits)) = (index, digits) {
            self.take(index.numbers_from(digits));
        }
    }

    fn anybody(&mut self, context: &AdminContext, view: &AccountsView) {
        view.accounts.keys().for_each(|account| self.take(attached(context, account)));
        view.accounts.values().for_each(|account| self.users(context, Some(account)));
    }
}
