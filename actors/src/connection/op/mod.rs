//! The operations of `crs.v1`, one file per group: begin, and what follows the answer.

pub(super) mod attach;
mod lookup;
pub(super) mod message;
mod session;
mod update;
pub(super) mod welcome;

use crs_proto::codec::{Op, Request, RequestId, encode_error, encode_ok};
use crs_proto::connection::{Close, Outcome};
use crs_proto::wire::life::{TimeReply, UnregisteredReason};
use crs_proto::wire::{ErrorBody, ErrorCode};
use crs_types::Period;
use serde::Serialize;

use super::inner::Answer;
use super::state::State;
use crate::services::{Party, SessionRequest};

/// Begins an admitted request. Every one of them is answered exactly once.
pub(super) fn run(state: &mut State, Request { id, op }: Request) {
    match op {
        Op::Attach(attach) => attach::begin(state, id, attach),
        Op::Detach(_) => {
            state.end_attachment(UnregisteredReason::Client);
            now(state, id, Ok(Empty {}), Outcome::Detached);
        }
        Op::Bye(_) => {
            now(state, id, Ok(Empty {}), Outcome::Done);
            state.close(Close::Bye);
        }
        Op::Time(_) => {
            let time = state.context.clock.now();
            now(state, id, Ok(TimeReply { time, period: Period::at(time) }), Outcome::Done);
        }
        Op::Lookup(lookup) => lookup::begin(state, id, lookup),
        Op::Invite(invite) => session::begin(state, id, SessionRequest::Invite(invite)),
        Op::Ringing(ringing) => session::begin(state, id, SessionRequest::Ringing(ringing)),
        Op::Answer(answer) => session::begin(state, id, SessionRequest::Answer(answer)),
        Op::Hangup(hangup) => session::begin(state, id, SessionRequest::Hangup(hangup)),
        Op::Alloc(alloc) => session::begin(state, id, SessionRequest::RelayAlloc(alloc)),
        Op::Refresh(refresh) => session::begin(state, id, SessionRequest::RelayRefresh(refresh)),
        Op::Free(free) => session::begin(state, id, SessionRequest::RelayFree(free)),
        Op::Post(post) => message::post(state, id, post),
        Op::Fetch(fetch) => message::fetch(state, id, fetch),
        Op::Ack(ack) => message::ack(state, id, ack),
        Op::UpdateGet(get) => update::get(state, id, get.period),
        Op::UpdateConfirm(confirm) => update::confirm(state, id, confirm),
    }
}

/// A reply without fields.
#[derive(Debug, Serialize)]
struct Empty {}

/// Answers at once.
fn now<T: Serialize>(
    state: &mut State,
    id: RequestId,
    result: Result<T, ErrorBody>,
    outcome: Outcome,
) {
    let text = encode(id, &result);
    state.reply(text, false);
    state.finished(outcome);
}

/// Answers with an error at once.
fn fail(state: &mut State, id: RequestId, error: ErrorBody) {
    now::<Empty>(state, id, Err(error), Outcome::Done);
}

fn encode<T: Serialize>(id: RequestId, result: &Result<T, ErrorBody>) -> String {
    match result {
        Ok(value) => encode_ok(id, value),
        Err(error) => encode_error(Some(id), error),
    }
}

/// The answer of a request whose end means nothing more to the core.
fn done<T: Serialize>(id: RequestId, result: &Result<T, ErrorBody>) -> Answer {
    Answer::Frame { text: encode(id, result), outcome: Outcome::Done }
}

/// The registration a request came over. The core admits nothing without one, but a registration
/// may end between admission and execution.
fn party(state: &State) -> Result<Party, ErrorBody> {
    let attachment = state.attachment.as_ref();
    attachment
        .map(super::attachment::Attachment::party)
        .ok_or_else(|| ErrorBody::new(ErrorCode::NotAttached, "the registration has just ended"))
}
