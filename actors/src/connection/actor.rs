//! The actor of one connection: feeds the core and carries out what it says.

use std::sync::Arc;

use crs_proto::codec::{Event, parse_request};
use crs_proto::connection::{Admission, Close, Due};
use crs_proto::wire::life::{Unregistered, UnregisteredReason};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::handle::{ConnectionMsg, Internal};
use super::inner::{Answer, Answered, Inner};
use super::io::Ended;
use super::state::State;
use super::{ServerEvent, op};
use crate::context::{DrainState, NodeContext};
use crate::handle::Bounded;
use crate::listener::Established;
use crate::supervisor::SupervisorHandle;

/// A client connection; temporary: the client reconnects.
#[derive(Debug)]
pub(super) struct Connection;

pub(super) struct Arguments {
    context: Arc<NodeContext>,
    established: Established,
}

/// Hands an authenticated WebSocket over to an actor of its own.
pub(crate) async fn start(
    established: Established,
    context: &Arc<NodeContext>,
    connections: &SupervisorHandle,
) {
    let arguments = Box::new(Arguments { context: Arc::clone(context), established });
    if let Err(error) = Box::pin(connections.spawn(Connection, arguments)).await {
        tracing::warn!(%error, "connection not started");
    }
}

impl Actor for Connection {
    type Msg = Bounded<ConnectionMsg>;
    type State = Box<State>;
    type Arguments = Box<Arguments>;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: Box<Arguments>,
    ) -> Result<Box<State>, ActorProcessingErr> {
        let Arguments { context, established } = *arguments;
        let mut state = State::new(context, established, myself)?;
        op::welcome::send(&mut state);
        state.arm();
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut Box<State>,
    ) -> Result<(), ActorProcessingErr> {
        match message.take() {
            ConnectionMsg::Event(event) => on_event(state, event),
            ConnectionMsg::News => on_news(state),
            ConnectionMsg::Unregister(reason) => on_unregister(state, reason),
            ConnectionMsg::Review => on_review(state),
            ConnectionMsg::Close => state.close(Close::GoingAway),
            ConnectionMsg::Internal(Internal(inner)) => on_inner(state, inner),
        }
        if state.over {
            myself.stop(None);
        }
        Ok(())
    }

    /// Stopped from above: when the node stops, the client is told before its socket goes.
    async fn post_stop(
        &self,
        _: ActorRef<Self::Msg>,
        state: &mut Box<State>,
    ) -> Result<(), ActorProcessingErr> {
        if !state.over && state.context.drain_state() == DrainState::Stopping {
            let reason = UnregisteredReason::NodeDrain;
            if state.end_attachment(reason) {
                state.event(&Event::Unregistered(Unregistered { reason }));
            }
            state.close(Close::GoingAway);
            state.io_ended().await;
        }
        Ok(())
    }
}

fn on_inner(state: &mut State, inner: Inner) {
    match inner {
        Inner::Frame(text, permit) => {
            state.context.metrics.connection.frames_in.increment(1);
            let now = state.now();
            let frame = parse_request(&text);
            // The text is parsed; the next one may be read.
            drop((text, permit));
            if state.closing {
                return;
            }
            let config = state.config();
            let admission = state.core.receive(&config, &mut state.member.buckets(), frame, now);
            admitted(state, admission);
        }
        Inner::Heard(permit) => {
            drop(permit);
            let now = state.now();
            state.core.heard(now);
        }
        Inner::Tick => on_tick(state),
        Inner::BulkWritten => op::message::page_written(state),
        Inner::Answered(answered) => on_answered(state, *answered),
        Inner::Ending(ended) => on_ending(state, ended),
        Inner::Ended => state.over = true,
        #[cfg(test)]
        Inner::Panic => panic!("planted"),
    }
}

/// Carries out what the core said about a frame.
pub(super) fn admitted(state: &mut State, admission: Admission) {
    match admission {
        Admission::Run(request) => op::run(state, request),
        Admission::Held => {}
        Admission::Refuse { id, error } => state.refuse(id, &error),
        Admission::RefuseAndClose { id, error, close } => {
            state.refuse(id, &error);
            state.context.metrics.connection.cut_protocol.increment(1);
            state.close(close);
        }
    }
}

fn on_answered(state: &mut State, Answered { id, answer }: Answered) {
    match answer {
        Answer::Frame { text, outcome } => {
            state.reply(text, false);
            state.finished(outcome);
        }
        Answer::Page { text, more } => op::message::page_read(state, text, more),
        Answer::NoPage { text } => op::message::page_failed(state, text),
        Answer::Attached(answer) => op::attach::finish(state, id, answer),
    }
}

fn on_event(state: &mut State, event: ServerEvent) {
    let event = match event {
        ServerEvent::CallState(call) => Event::CallState(call),
        ServerEvent::MessageAcked(_) if state.is_behind() => return,
        ServerEvent::MessageAcked(acked) => Event::MessageAcked(acked),
        ServerEvent::Offers(offers) => Event::UpdateOffer(offers),
    };
    state.event(&event);
}

/// Becomes `msg.new` unless the client knows already that there is something to fetch.
fn on_news(state: &mut State) {
    let newest = state.told.take_news();
    if let Some(new) = state.arrived(newest) {
        state.event(&Event::MessageNew(new));
    }
}

/// The accounts have changed, and this connection had no registration then.
fn on_review(state: &mut State) {
    let (view, now) = (state.context.accounts.view(), state.context.clock.now());
    if let Some(reason) = view.ends_connection(&state.identity, state.keys, now) {
        on_unregister(state, reason);
    }
}

/// What ends a connection ends it whether or not it is registered still.
fn on_unregister(state: &mut State, reason: UnregisteredReason) {
    if state.closing {
        return;
    }
    let registered = state.end_attachment(reason);
    if registered {
        state.event(&Event::Unregistered(Unregistered { reason }));
    }
    match reason {
        UnregisteredReason::Purged => state.close(Close::Purged),
        UnregisteredReason::NodeDrain => state.close(Close::GoingAway),
        UnregisteredReason::KeepaliveTimeout => state.close(Close::KeepaliveTimeout),
        // Revoked keys, a barred user, no account: nothing this connection may still do.
        UnregisteredReason::Blacklisted
        | UnregisteredReason::AccountDeleted
        | UnregisteredReason::NotListed
        | UnregisteredReason::UpdateRequired => state.close(Close::Denied),
        UnregisteredReason::Client | UnregisteredReason::Replaced | UnregisteredReason::Error => {
            if registered {
                state.clean_up_later();
            }
        }
    }
}

fn on_tick(state: &mut State) {
    let now = state.now();
    if state.close_at.is_some_and(|at| at <= now.mono) {
        state.close(Close::Denied);
    }
    let config = state.config();
    while let Some(due) = state.core.poll(&config, now) {
        match due {
            Due::Ping => state.outbox.ping(),
            Due::Unregister => {
                // The certificate's time is over; the connection goes on for key updates.
                state.end_attachment(UnregisteredReason::UpdateRequired);
                let reason = UnregisteredReason::UpdateRequired;
                state.event(&Event::Unregistered(Unregistered { reason }));
                state.clean_up_later();
            }
            Due::Close(close) => {
                state.context.metrics.connection.cut_keepalive.increment(1);
                state.end_attachment(UnregisteredReason::KeepaliveTimeout);
                state.close(close);
                break;
            }
        }
    }
    state.arm();
}

fn on_ending(state: &mut State, ended: Ended) {
    let metrics = &state.context.metrics.connection;
    let reason = match ended {
        Ended::ByClient => UnregisteredReason::Client,
        Ended::ByServer(Close::Bye) => UnregisteredReason::Client,
        Ended::ByServer(Close::GoingAway) => UnregisteredReason::NodeDrain,
        Ended::ByServer(_) => UnregisteredReason::Error,
        Ended::Violation(_) => {
            metrics.cut_protocol.increment(1);
            UnregisteredReason::Error
        }
        Ended::Stalled => {
            metrics.cut_slow.increment(1);
            UnregisteredReason::Error
        }
    };
    state.end_attachment(reason);
    state.closing = true;
}
