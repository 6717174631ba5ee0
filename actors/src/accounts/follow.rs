//! Keeps the account view up to date with the control state, and ends at once what a change no
//! longer allows: revoked keys, barred users, deleted accounts (Q-46, design.md §4).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crs_storage::Store;
use crs_types::Timestamp;

use super::{AccountsView, UpdateBlobs, load};
use crate::context::NodeContext;
use crate::directory::Registration;

/// How often registrations are held against the calendar: a new month takes another update file
/// into force without any change of the control state.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Follows the control state until the store closes; the text says that it did.
pub async fn follow(
    context: Arc<NodeContext>,
    store: Store,
    blobs: Arc<dyn UpdateBlobs>,
) -> String {
    let mut changes = store.control_changes();
    loop {
        changes.mark_unchanged();
        refresh(&context, &store, &*blobs).await;
        loop {
            match tokio::time::timeout(LOOK_AGAIN, changes.changed()).await {
                Ok(Ok(())) => break,
                Ok(Err(_)) => return "the store has closed".to_owned(),
                Err(_) => enforce(&context),
            }
        }
    }
}

/// Loads the control state as it is now.
pub async fn refresh(context: &NodeContext, store: &Store, blobs: &dyn UpdateBlobs) {
    let before = context.accounts.view();
    let view = load(&store.control(), &before, blobs).await;
    context.accounts.swap(view);
    enforce_changes(context, &before);
}

/// Ends every registration of an account that is another one than in `before`, if the present view
/// does not allow it; connections without a registration look themselves.
fn enforce_changes(context: &NodeContext, before: &AccountsView) {
    let (view, now) = (context.accounts.view(), context.clock.now());
    for (id, account) in &before.accounts {
        if view.account(id).is_none_or(|present| !Arc::ptr_eq(present, account)) {
            let registrations = context.directory.of_account(id);
            hold(&view, &registrations, now);
            let registered: BTreeSet<_> = registrations.iter().map(|r| r.connection).collect();
            context.crowd.review(id, &registered);
        }
    }
}

/// Ends every registration that the present view does not allow.
fn enforce(context: &NodeContext) {
    let (view, now) = (context.accounts.view(), context.clock.now());
    hold(&view, &context.directory.snapshot(), now);
}

/// Holds registrations against the view.
fn hold(view: &AccountsView, registrations: &[Arc<Registration>], now: Timestamp) {
    for registration in registrations {
        if let Some(reason) = view.ends_registration(registration, now) {
            // A client that cannot be told is cut.
            let _ = registration.handle.unregister(reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bed, Client, Domain, NOW, Options};
    use crs_types::Period;
    use serde_json::json;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_change_of_accounts_ends_what_it_no_longer_allows() {
        let (mut acme, mut brick) = (Domain::new("acme"), Domain::new("brick"));
        let users = ["+46701", "+46702", "+46703", "+46704"].map(|number| acme.user(number));
        let other = brick.user("+46801");
        let bed = Bed::start(&[&acme, &brick], Options::default()).await;
        let mut clients = Vec::new();
        for user in users.iter().chain([&other]) {
            clients.push(bed.attach(user, "primary", "d").await);
        }
        enforce(&bed.context);
        acme.blacklist.insert(users[0].keys.identity.uri.clone());
        acme.user_of("+46702", Period::at(NOW), 2);
        acme.remove("+46703");
        let before = bed.context.accounts.view();
        bed.swap(&[&acme]);
        enforce_changes(&bed.context, &before);
        for (n, reason) in
            [(0, "blacklisted"), (1, "update-required"), (2, "not-listed"), (4, "account-deleted")]
        {
            assert_eq!(clients[n].event("unregistered").await["reason"], reason);
            assert_eq!(clients[n].closed().await, Some(1008));
        }
        assert_eq!(clients[3].ask("time", serde_json::json!({})).await["ok"], true);
        assert_eq!(bed.context.directory.count(), 1);
    }

    /// Connections that never registered are held to the same, and what they ask for between the
    /// change and their end is refused.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_change_of_accounts_ends_connections_without_a_registration() {
        let (mut acme, mut brick) = (Domain::new("acme"), Domain::new("brick"));
        let users = ["+46701", "+46702", "+46703", "+46704"].map(|number| acme.user(number));
        let other = brick.user("+46801");
        let bed = Bed::start(&[&acme, &brick], Options::default()).await;
        let mut clients = Vec::new();
        for user in users.iter().chain([&other]) {
            clients.push(bed.connect(user).await);
        }
        let get = json!({"period": Period::at(NOW).to_string()});
        for client in &mut clients {
            assert_eq!(client.ask("upd.get", get.clone()).await["ok"], true);
        }
        acme.blacklist.insert(users[0].keys.identity.uri.clone());
        acme.user_of("+46702", Period::at(NOW), 2);
        acme.remove("+46703");
        let before = bed.context.accounts.view();
        bed.swap(&[&acme]);
        let confirm = json!({"period": Period::at(NOW).to_string(), "serial": 1});
        for (n, reason) in [(0, "blacklisted"), (1, "revoked"), (2, "not-listed")] {
            for (op, fields) in [("upd.get", get.clone()), ("upd.confirm", confirm.clone())] {
                let refused = clients[n].ask(op, fields).await;
                assert_eq!(refused["err"]["code"], "denied", "{refused}");
                assert_eq!(refused["err"]["reason"], reason);
            }
        }
        enforce_changes(&bed.context, &before);
        for n in [0, 1, 2, 4] {
            assert_eq!(clients[n].closed().await, Some(1008), "{n}");
            assert!(clients[n].early.iter().all(|frame| frame["ev"] != "unregistered"));
        }
        assert_eq!(clients[3].ask("upd.get", get).await["ok"], true);
    }

    /// Whether they have registered or not; those whom another CA has certified go on.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_retired_ca_ends_what_it_has_certified() {
        let mut acme = Domain::new("acme");
        let old = ["+46701", "+46702"].map(|number| acme.user(number));
        acme.rotate_ca();
        let new = acme.user("+46703");
        let bed = Bed::start(&[&acme], Options::default()).await;
        let mut attached = bed.attach(&old[0], "primary", "d").await;
        let mut idle = bed.connect(&old[1]).await;
        let mut stays = bed.attach(&new, "primary", "d").await;
        acme.retire_ca();
        for number in ["+46701", "+46702"] {
            acme.user(number);
        }
        let before = bed.context.accounts.view();
        bed.swap(&[&acme]);
        let get = json!({"period": Period::at(NOW).to_string()});
        assert_eq!(idle.ask("upd.get", get.clone()).await["err"]["reason"], "revoked");
        enforce_changes(&bed.context, &before);
        assert_eq!(attached.event("unregistered").await["reason"], "update-required");
        assert_eq!(attached.closed().await, Some(1008));
        assert_eq!(idle.closed().await, Some(1008));
        assert_eq!(stays.ask("upd.get", get).await["ok"], true);
        assert!(Client::connect(&bed, Some(&old[0])).await.is_err(), "nor does it let in anybody");
        bed.attach(&new, "secondary", "e").await;
    }
}
