//! `trace`: a place at the hub.

use crs_admin_api::command::trace::{Element, Reply, Request};
use crs_admin_api::{AdminError, Code};

use crate::admin::{AdminContext, errors};
use crate::trace::{Filter, Subscription};

/// Sent when the trace is in place.
pub(in crate::admin) const READY: Reply = Reply {};

pub(in crate::admin) fn subscribe(
    context: &AdminContext,
    request: &Request,
) -> Result<Subscription, AdminError> {
    let filter = match &request.element {
        Element::Attach => Filter::Attach,
        Element::Session => Filter::Session,
        Element::Message => Filter::Message,
        Element::Connection => Filter::Connection,
        Element::Event => Filter::Event,
        Element::Client { account, uri } => {
            // A trace of nobody would be silent for ever.
            let control = context.store.control();
            let Some(known) = control.account(account) else {
                return Err(errors::no_account(account));
            };
            Filter::Client { account: known.id.clone(), uri: uri.clone() }
        }
    };
    context.hub.subscribe(filter).map_err(|error| AdminError::new(Code::Busy, error.to_string()))
}
