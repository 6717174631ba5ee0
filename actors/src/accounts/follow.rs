//! Keeps the account view up to date with the control state, and ends at once what a change no
//! longer allows: revoked keys, barred users, deleted accounts (Q-46, design.md §4).

use std::sync::Arc;
use std::time::Duration;

use crs_proto::wire::life::UnregisteredReason;
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
    let view = load(&store.control(), &context.accounts.view(), blobs).await;
    context.accounts.swap(view);
    enforce(context);
}

/// Ends every registration that the present view does not allow.
fn enforce(context: &NodeContext) {
    let (view, now) = (context.accounts.view(), context.clock.now());
    for registration in context.directory.snapshot() {
        if let Some(reason) = verdict(&view, &registration, now) {
            // A client that cannot be told is cut.
            let _ = registration.handle.unregister(reason);
        }
    }
}

fn verdict(
    view: &AccountsView,
    registration: &Registration,
    now: Timestamp,
) -> Option<UnregisteredReason> {
    let Some(account) = view.account(&registration.account) else {
        return Some(UnregisteredReason::AccountDeleted);
    };
    let uri = &registration.uri;
    if uri.is_test_client() {
        return None;
    }
    if account.blacklist.contains(uri) {
        return Some(UnregisteredReason::Blacklisted);
    }
    let revoked = account.check_generation(uri, registration.generation).is_err();
    let removed = account.current(now).is_some_and(|index| index.user(uri).is_none());
    (revoked || removed).then_some(UnregisteredReason::UpdateRequired)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bed, Domain, NOW, Options};
    use crs_types::Period;

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
        bed.swap(&[&acme]);
        enforce(&bed.context);
        for (n, reason) in [
            (0, "blacklisted"),
            (1, "update-required"),
            (2, "update-required"),
            (4, "account-deleted"),
        ] {
            assert_eq!(clients[n].event("unregistered").await["reason"], reason);
            assert_eq!(clients[n].closed().await, Some(1008));
        }
        assert_eq!(clients[3].ask("time", serde_json::json!({})).await["ok"], true);
        assert_eq!(bed.context.directory.count(), 1);
    }
}
