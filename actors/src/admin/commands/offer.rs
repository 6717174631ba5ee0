//! After an apply: attached clients are offered their new keys at once.

use std::sync::Arc;

use crs_proto::wire::keys::{Offers, UpdateOffer};
use crs_types::{Period, Timestamp};

use crate::accounts::Account;
use crate::admin::AdminContext;
use crate::connection::ServerEvent;
use crate::context::Services;
use crate::directory::Registration;

/// Offers the periods of an account to its attached clients. Who cannot be told now learns it at
/// the next attach.
pub(super) async fn to_attached(context: &AdminContext, account: &Account) {
    let Some(services) = context.node.services() else { return };
    let now = context.now();
    for registration in context.node.directory.of_account(&account.id) {
        if !registration.uri.is_test_client() {
            offer(services, account, &registration, now).await;
        }
    }
}

async fn offer(
    services: &Services,
    account: &Account,
    registration: &Arc<Registration>,
    now: Timestamp,
) {
    let (id, uri) = (&registration.account, &registration.uri);
    // Unknown is offered as not confirmed: fetching it again does no harm.
    let confirmed: Vec<(Period, u64)> =
        services.updates.confirmed(id.clone(), uri.clone()).await.unwrap_or_default();
    let updates: Vec<UpdateOffer> = account
        .offered(now)
        .filter_map(|index| {
            let (period, serial) = (index.period, index.serial);
            Some(UpdateOffer {
                period,
                serial,
                generation: index.user(uri)?.generation,
                confirmed: confirmed.contains(&(period, serial)),
            })
        })
        .collect();
    if updates.iter().all(|offer| offer.confirmed) {
        return;
    }
    let periods = updates.iter().map(|offer| (offer.period, offer.serial)).collect();
    // A client that is too slow for it is cut, and offered the same when it comes back.
    if registration.handle.event(ServerEvent::Offers(Offers { updates })).is_ok() {
        services.updates.offered(id.clone(), uri.clone(), periods);
    }
}
