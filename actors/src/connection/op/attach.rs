//! `attach`: may this user register here, what does it displace, what waits for it.

use std::sync::Arc;

use crs_proto::codec::{RequestId, encode_error, encode_ok};
use crs_proto::connection::Outcome;
use crs_proto::delivery::Delivery;
use crs_proto::wire::keys::UpdateOffer;
use crs_proto::wire::life::{Attach, Attached, DeniedReason, UnregisteredReason};
use crs_proto::wire::{ErrorBody, word};
use crs_types::{DeviceId, SessionId};
use futures_util::future::join3;

use super::update;
use crate::connection::attachment::Attachment;
use crate::connection::inner::{Answer, AttachAnswer};
use crate::connection::state::State;
use crate::context::{DrainState, Services};
use crate::directory::Registration;
use crate::services::Party;
use crate::trace::{AttachEvent, AttachState, TraceEvent};

/// Features a client may rely on.
pub const FEATURES: &[&str] = &["call", "lookup", "message", "relay", "update"];

/// Checks and registers at once, then asks for what waits.
pub(in crate::connection) fn begin(state: &mut State, id: RequestId, attach: Attach) {
    let services = match state.services() {
        Ok(services) => services,
        Err(error) => return not_attached(state, id, error),
    };
    // Attaching again on the same connection replaces its own registration.
    state.end_attachment(UnregisteredReason::Replaced);
    if let Err(reason) = allowed(state).and_then(|()| register(state, &attach)) {
        return denied(state, id, &attach, reason);
    }
    // Whoever bars, revokes or drains changes the state first and then looks through the
    // directory: asked again now, one of the two sees the other.
    if let Err(reason) = allowed(state) {
        state.end_attachment(UnregisteredReason::Error);
        return denied(state, id, &attach, reason);
    }
    let Some(party) = state.attachment.as_ref().map(Attachment::party) else { return };
    state.close_at = None;
    keep_client_info(&services, &party, &attach);
    let offers = update::offers(state);
    state.spawn(id, async move {
        Answer::Attached(gather(services, party, attach.resume, offers).await)
    });
}

/// Everything is known, or the mailbox could not be read: then the client tries again later.
pub(in crate::connection) fn finish(
    state: &mut State,
    id: RequestId,
    answer: Result<AttachAnswer, ErrorBody>,
) {
    let Some(role) = state.attachment.as_ref().map(|a| a.registration().role) else {
        // Unregistered meanwhile; the event has said why.
        let text = "the registration ended while it was being set up";
        let error = ErrorBody::new(crs_proto::wire::ErrorCode::NotAttached, text);
        return not_attached(state, id, error);
    };
    match answer {
        Ok(AttachAnswer { waiting, sessions, updates }) => {
            state.delivery = Delivery::attached(waiting.newest, waiting.items);
            let attached = Attached {
                state: "attached".to_owned(),
                connection: state.id.0,
                role,
                waiting: waiting.items,
                sessions,
                updates,
            };
            state.reply(encode_ok(id, &attached), false);
            state.lifecycle.attached();
            state.finished(Outcome::Attached(role));
        }
        Err(error) => {
            state.end_attachment(UnregisteredReason::Error);
            not_attached(state, id, error);
        }
    }
}

fn allowed(state: &State) -> Result<(), DeniedReason> {
    if state.context.drain_state() != DrainState::Serving {
        return Err(DeniedReason::NodeDrain);
    }
    let user = &state.identity;
    let view = state.context.accounts.view();
    let account = view.account(&user.account).ok_or(DeniedReason::AccountNotLoaded)?;
    if user.uri.is_test_client() {
        return Ok(());
    }
    account.may_attach(&user.uri, user.period, state.keys, state.context.clock.now())
}

fn register(state: &mut State, attach: &Attach) -> Result<(), DeniedReason> {
    let version = attach.client_info.as_ref().map_or("", |info| &info.version);
    let registration = Registration {
        account: state.identity.account.clone(),
        uri: state.identity.uri.clone(),
        role: attach.role,
        device: attach.device.clone(),
        connection: state.id,
        handle: state.handle(),
        since: state.context.clock.now(),
        version: version.into(),
        addr: state.addr,
        key_exchange: state.key_exchange,
        keys: state.keys,
        node: state.context.name.clone(),
    };
    let registration = Arc::new(registration);
    let displaced = state
        .context
        .directory
        .register(Arc::clone(&registration))
        .map_err(|_| DeniedReason::TooMany)?;
    for old in displaced {
        // A connection that cannot be told is cut.
        let _ = old.handle.unregister(UnregisteredReason::Replaced);
    }
    state.delivery = Delivery::default();
    state.attachment = Some(Attachment::new(Arc::clone(&state.context), registration));
    Ok(())
}

async fn gather(
    services: Services,
    party: Party,
    resume: Vec<SessionId>,
    mut updates: Vec<UpdateOffer>,
) -> Result<AttachAnswer, ErrorBody> {
    let (account, uri) = (party.account.clone(), party.uri.clone());
    let waiting = services.mail.waiting(account.clone(), uri.clone());
    let confirmed = services.updates.confirmed(account.clone(), uri.clone());
    let sessions = services.sessions.attached(party, resume);
    let (waiting, sessions, confirmed) = join3(waiting, sessions, confirmed).await;
    let (waiting, sessions, confirmed) = (waiting?, sessions?, confirmed?);
    for offer in &mut updates {
        offer.confirmed = confirmed.contains(&(offer.period, offer.serial));
    }
    let offered = updates.iter().map(|offer| (offer.period, offer.serial)).collect();
    services.updates.offered(account, uri, offered);
    Ok(AttachAnswer { waiting, sessions, updates })
}

fn keep_client_info(services: &Services, party: &Party, attach: &Attach) {
    if let Some(info) = &attach.client_info {
        let device: DeviceId = attach.device.clone();
        let (account, uri) = (party.account.clone(), party.uri.clone());
        services.updates.client_info(account, uri, device, info.clone());
    }
}

fn denied(state: &mut State, id: RequestId, attach: &Attach, reason: DeniedReason) {
    state.context.metrics.connection.attach_denied.increment(1);
    state.context.metrics.traffic.denied.count(&word(&reason));
    if state.context.trace.enabled() {
        state.context.trace.emit(TraceEvent::Attach(AttachEvent {
            time: state.context.clock.now(),
            connection: state.id,
            role: attach.role,
            uri: state.identity.uri.clone(),
            account: state.identity.account.clone(),
            addr: state.addr,
            state: AttachState::Denied,
            description: word(&reason),
        }));
    }
    state.clean_up_later();
    not_attached(state, id, ErrorBody::denied(reason, text(reason)));
}

fn not_attached(state: &mut State, id: RequestId, error: ErrorBody) {
    state.reply(encode_error(Some(id), &error), false);
    state.finished(Outcome::NotAttached);
}

/// One sentence for a person.
pub(super) fn text(reason: DeniedReason) -> &'static str {
    match reason {
        DeniedReason::NotListed => "the user is not in the account's current update",
        DeniedReason::Blacklisted => "the user is blocked by the operator",
        DeniedReason::AccountNotLoaded => "the account has no current update on this server",
        DeniedReason::TooMany => "five secondary devices are attached already",
        DeniedReason::UpdateRequired => "fetch and confirm the key update first",
        DeniedReason::Revoked => {
            "the keys, or the CA that certified them, were revoked: enrol again"
        }
        DeniedReason::NodeDrain => "the node is draining: try another, or later",
        DeniedReason::NotAuthorised => "the keys are not those of the account's update",
    }
}
