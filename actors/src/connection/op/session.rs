//! `call.*` and `relay.*`: handed to the sessions of the node.

use crs_proto::codec::RequestId;

use super::{Empty, done, fail, party};
use crate::connection::state::State;
use crate::services::{SessionReply, SessionRequest};

pub(super) fn begin(state: &mut State, id: RequestId, request: SessionRequest) {
    let ready = state.services().and_then(|services| Ok((services, party(state)?)));
    let (services, party) = match ready {
        Ok(ready) => ready,
        Err(error) => return fail(state, id, error),
    };
    let answering = services.sessions.request(party, request);
    state.spawn(id, async move {
        match answering.await {
            Ok(SessionReply::State(call)) => done(id, &Ok(call)),
            Ok(SessionReply::Leg(leg)) => done(id, &Ok(leg)),
            Ok(SessionReply::Freed) => done(id, &Ok(Empty {})),
            Err(error) => done::<Empty>(id, &Err(error)),
        }
    });
}
