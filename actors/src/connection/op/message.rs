//! `msg.post`, `msg.fetch`, `msg.ack`. Pages go one at a time, so that a client which asks for
//! many holds at most one of them in our memory.

use std::collections::VecDeque;

use crs_proto::codec::{Event, RequestId, encode_ok};
use crs_proto::connection::Outcome;
use crs_proto::delivery::{self, Page};
use crs_proto::wire::message::{Ack, Fetch, Post};
use crs_proto::wire::{ErrorBody, ErrorCode};
use crs_types::Uri;

use super::{Empty, done, encode, fail, party};
use crate::connection::inner::Answer;
use crate::connection::state::State;
use crate::services::Party;
use crate::trace::{MessageEvent, MessageState, MessageTrack, TraceEvent};

/// Fetches of one connection: one under way, the others wait. Bounded by the requests in flight.
#[derive(Debug, Default)]
pub(in crate::connection) struct Pages {
    busy: bool,
    page: Option<Page>,
    waiting: VecDeque<(RequestId, Fetch)>,
}

pub(super) fn post(state: &mut State, id: RequestId, post: Post) {
    let (to, mid) = (post.to.clone(), post.mid);
    let ready = state.services().and_then(|services| Ok((services, party(state)?)));
    let ended = move |to, error| Outcome::Posted { to, mid, error };
    let (services, party) = match ready {
        Ok(ready) => ready,
        Err(error) => {
            let outcome = ended(to, Some(error.code));
            return super::now::<Empty>(state, id, Err(error), outcome);
        }
    };
    let view = state.context.accounts.view();
    let now = state.context.clock.now();
    let Some(account) = view.resolve(&party.account, &party.uri, &to, now) else {
        state.context.metrics.traffic.refused.count("not-found");
        not_found(state, &party, &post);
        let error = ErrorBody::new(ErrorCode::NotFound, format!("{to} cannot be reached"));
        let outcome = ended(to, Some(error.code));
        return super::now::<Empty>(state, id, Err(error), outcome);
    };
    let answering = services.mail.post(party, account.id.clone(), post);
    state.spawn(id, async move {
        let result = answering.await;
        let outcome = ended(to, result.as_ref().err().map(|error| error.code));
        Answer::Frame { text: encode(id, &result), outcome }
    });
}

pub(super) fn fetch(state: &mut State, id: RequestId, fetch: Fetch) {
    if state.pages.busy {
        state.pages.waiting.push_back((id, fetch));
        return;
    }
    let ready = state.services().and_then(|services| Ok((services, party(state)?)));
    let (services, party) = match ready {
        Ok(ready) => ready,
        Err(error) => return fail(state, id, error),
    };
    let page = state.delivery.page(&fetch);
    state.pages.busy = true;
    state.pages.page = Some(page);
    let answering = services.mail.fetch(party, page);
    state.spawn(id, async move {
        match answering.await {
            Ok(page) => Answer::Page { text: encode_ok(id, &page), more: page.more },
            Err(error) => Answer::NoPage { text: encode(id, &Err::<Empty, _>(error)) },
        }
    });
}

/// A page was read: send it behind everything urgent.
pub(in crate::connection) fn page_read(state: &mut State, text: String, more: bool) {
    state.reply(text, true);
    let page = state.pages.page.take();
    if let Some(new) = page.and_then(|page| state.delivery.fetched(&page, more)) {
        state.event(&Event::MessageNew(new));
    }
    state.finished(Outcome::Done);
}

/// No page came of the request.
pub(in crate::connection) fn page_failed(state: &mut State, text: String) {
    state.reply(text, false);
    state.finished(Outcome::Done);
    page_written(state);
}

/// A page has left: the next fetch may begin.
pub(in crate::connection) fn page_written(state: &mut State) {
    state.pages.busy = false;
    match state.pages.waiting.pop_front() {
        Some((id, next)) => fetch(state, id, next),
        None => state.pages.waiting = VecDeque::new(),
    }
}

pub(super) fn ack(state: &mut State, id: RequestId, ack: Ack) {
    let ready = state.services().and_then(|services| {
        let party = party(state)?;
        let n = delivery::acknowledged(party.role, &ack)?;
        Ok((services, party, Ack { n }))
    });
    let (services, party, ack) = match ready {
        Ok(ready) => ready,
        Err(error) => return fail(state, id, error),
    };
    let answering = services.mail.ack(party, ack);
    state.spawn(id, async move { done(id, &answering.await) });
}

fn not_found(state: &State, from: &Party, post: &Post) {
    if state.context.trace.enabled() {
        let to: Uri = post.to.clone();
        state.context.trace.emit(TraceEvent::Message(MessageEvent {
            time: state.context.clock.now(),
            from: from.uri.clone(),
            to,
            state: MessageState::NotFound,
            account: MessageTrack::Account(from.account.clone()),
            id: post.mid,
        }));
    }
}
