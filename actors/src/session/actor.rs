//! The actor of one session: feeds the core, carries out its effects.

use std::collections::BTreeMap;
use std::sync::Arc;

use crs_proto::connection::Now;
use crs_proto::session::{
    CallReply, CallRequest, Callee, DetailWord, Effect, Endpoint, Input, MediaReport, RelayFailure,
    ReplyTag, Session, SessionConfig, Summary,
};
use crs_proto::wire::ErrorBody;
use crs_proto::wire::call::{CallState, HangupReason, Invite};
use crs_proto::wire::relay::RelayKind;
use crs_types::{ConnectionId, LegId, Mono, SessionId};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::media::{Allocated, Lease, MediaRelay};
use super::metrics::SessionMetrics;
use super::table::SessionTable;
use crate::connection::{ConnectionHandle, ServerEvent};
use crate::context::NodeContext;
use crate::handle::{Bounded, Gate, Handle, Reply};
use crate::services::{Party, SessionReply};
use crate::supervisor::OwnedTask;
use crate::trace::{SessionEvent, TraceEvent};

/// Messages that may wait for one session; more are refused with `unavailable`.
pub const SESSION_QUEUE: u32 = 256;
/// Messages of the session's own tasks: a tick, the relay's answers, and those that were replaced
/// on their way. Apart from the others, so that a busy session loses none of them.
const OWN_QUEUE: u32 = 16;

/// Messages to a session's actor.
#[derive(Debug)]
pub enum SessionMsg {
    /// The first invite.
    Start {
        /// The caller.
        from: Party,
        /// The invite.
        invite: Invite,
        /// What its URI resolved to.
        callee: Callee,
        /// Connections of the callee's devices.
        devices: Vec<ConnectionHandle>,
        /// For the caller.
        reply: Reply<Result<SessionReply, ErrorBody>>,
    },
    /// A request of a client.
    Request {
        /// Who.
        from: Party,
        /// What.
        request: CallRequest,
        /// For the client.
        reply: Reply<Result<SessionReply, ErrorBody>>,
    },
    /// A device of a party has attached.
    Attached {
        /// The device.
        party: Party,
        /// It named this session.
        resumes: bool,
        /// The state as it sees it, when it takes part.
        reply: Reply<Option<CallState>>,
    },
    /// A registration has ended.
    Detached(Party),
    /// The operator or the node ends it.
    End(HangupReason, Option<DetailWord>),
    /// The relay's answer to an allocation.
    Allocated(Result<Allocated, RelayFailure>),
    /// The relay's report; `None` when the allocation is gone.
    Media(Option<MediaReport>),
    /// A deadline may have passed.
    Tick,
}

/// The session actor.
#[derive(Debug)]
pub(super) struct SessionActor;

/// What a session's actor is started with.
pub(super) struct Arguments {
    pub(super) id: SessionId,
    pub(super) context: Arc<NodeContext>,
    pub(super) config: Arc<SessionConfig>,
    pub(super) relay: Arc<dyn MediaRelay>,
    pub(super) table: Arc<SessionTable>,
    pub(super) metrics: SessionMetrics,
}

pub(super) struct State {
    arguments: Arguments,
    /// For the session's own tasks.
    own: Handle<SessionMsg>,
    core: Option<Session>,
    connections: BTreeMap<ConnectionId, (Endpoint, ConnectionHandle)>,
    replies: BTreeMap<u64, Reply<Result<SessionReply, ErrorBody>>>,
    next_tag: u64,
    lease: Option<Lease>,
    /// The deadline it was set for.
    timer: Option<(Mono, OwnedTask)>,
    allocating: Option<OwnedTask>,
    asking: Option<OwnedTask>,
    counted_end: bool,
}

impl Actor for SessionActor {
    type Msg = Bounded<SessionMsg>;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let gate = Gate::new(OWN_QUEUE, arguments.context.metrics.session_mailbox.clone());
        Ok(State {
            arguments,
            own: Handle::new(myself, gate),
            core: None,
            connections: BTreeMap::new(),
            replies: BTreeMap::new(),
            next_tag: 0,
            lease: None,
            timer: None,
            allocating: None,
            asking: None,
            counted_end: false,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        if state.take(message.take()) {
            myself.stop(None);
        } else {
            state.arm();
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _: ActorRef<Self::Msg>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        // A no-op unless the node stops before the session has ended.
        let end =
            Input::End { reason: HangupReason::Shutdown, detail: Some(DetailWord::NodeDrain) };
        state.feed(end);
        Ok(())
    }
}

/// Also when the actor was killed: the table must not keep what is gone. The lease and the tasks
/// end with their fields.
impl Drop for State {
    fn drop(&mut self) {
        let actor = self.own.actor().get_id();
        self.arguments.table.remove(self.arguments.id, actor);
        if self.core.is_some() && !self.counted_end {
            self.arguments.metrics.active.decrement(1.0);
        }
    }
}

impl State {
    /// True when the session is over and forgotten.
    fn take(&mut self, message: SessionMsg) -> bool {
        match message {
            SessionMsg::Start { from, invite, callee, devices, reply } => {
                self.start(&from, invite, callee, devices, reply)
            }
            SessionMsg::Request { from, request, reply } => {
                let tag = self.tag(reply);
                let from = self.meet(&from);
                self.feed(Input::Request { from, tag, request })
            }
            SessionMsg::Attached { party, resumes, reply } => self.attached(&party, resumes, reply),
            SessionMsg::Detached(party) => {
                let device = endpoint(&party);
                self.connections.remove(&device.connection);
                self.feed(Input::Lost { device })
            }
            SessionMsg::End(reason, detail) => self.feed(Input::End { reason, detail }),
            SessionMsg::Allocated(result) => self.allocated(result),
            SessionMsg::Media(Some(report)) => self.feed(Input::Media(report)),
            SessionMsg::Media(None) => {
                self.lease = None;
                self.feed(Input::RelayLost)
            }
            SessionMsg::Tick => {
                self.timer = None;
                self.feed(Input::Tick)
            }
        }
    }

    fn start(
        &mut self,
        from: &Party,
        invite: Invite,
        callee: Callee,
        devices: Vec<ConnectionHandle>,
        reply: Reply<Result<SessionReply, ErrorBody>>,
    ) -> bool {
        let tag = self.tag(reply);
        let caller = self.meet(from);
        if let Callee::Found { devices: endpoints, .. } = &callee {
            let known = endpoints.iter().cloned().zip(devices);
            self.connections.extend(known.map(|(to, handle)| (to.connection, (to, handle))));
        }
        let config = Arc::clone(&self.arguments.config);
        let (core, effects) = Session::start(&config, &caller, tag, invite, callee, self.now());
        self.core = Some(core);
        self.arguments.metrics.started.increment(1);
        self.arguments.metrics.active.increment(1.0);
        self.run(effects)
    }

    /// The device learns of a call that rings by its attach reply, not by an event besides.
    fn attached(&mut self, party: &Party, resumes: bool, reply: Reply<Option<CallState>>) -> bool {
        let device = self.meet(party);
        let connection = device.connection;
        let Some(mut effects) = self.input(Input::Attached { device: device.clone(), resumes })
        else {
            return false;
        };
        let all = effects.len();
        effects.retain(|effect| !matches!(effect, Effect::Notify { to, .. } if *to == connection));
        let rings = effects.len() < all;
        let view = self.core.as_ref().and_then(|core| core.view_for(&device));
        let over = self.run(effects);
        reply.send(view.filter(|_| resumes || rings));
        over
    }

    fn allocated(&mut self, result: Result<Allocated, RelayFailure>) -> bool {
        match result {
            Ok(Allocated { lease, caller, callee }) => {
                self.lease = Some(lease);
                let legs = [LegId(caller.leg), LegId(callee.leg)];
                self.arguments.table.set_legs(self.arguments.id, legs);
                self.feed(Input::RelayReady { caller, callee })
            }
            Err(failure) => self.feed(Input::RelayFailed(failure)),
        }
    }

    fn feed(&mut self, input: Input) -> bool {
        match self.input(input) {
            Some(effects) => self.run(effects),
            None => false,
        }
    }

    fn input(&mut self, input: Input) -> Option<Vec<Effect>> {
        let now = self.now();
        let core = self.core.as_mut()?;
        Some(core.handle(&self.arguments.config, input, now))
    }

    fn run(&mut self, effects: Vec<Effect>) -> bool {
        let mut over = false;
        for effect in effects {
            match effect {
                Effect::Reply { tag, result } => {
                    if let Some(reply) = self.replies.remove(&tag.0) {
                        reply.send(result.map(answer));
                    }
                }
                Effect::Notify { to, state } => self.notify(to, state),
                Effect::AllocRelay(kind) => self.allocate(kind),
                Effect::RefreshRelay => {
                    if let Some(lease) = &self.lease {
                        self.arguments.relay.refresh(lease.id());
                    }
                }
                Effect::FreeRelay => self.lease = None,
                Effect::QueryMedia => self.query_media(),
                Effect::Changed(summary) => self.changed(summary),
                Effect::Expired => over = true,
            }
        }
        over
    }

    /// A connection that cannot be told is cut: its client comes back and is told anew, or is
    /// lost.
    fn notify(&mut self, to: ConnectionId, state: Box<CallState>) {
        let Some((device, connection)) = self.connections.get(&to) else { return };
        if connection.event(ServerEvent::CallState(state)).is_err() {
            let device = device.clone();
            self.connections.remove(&to);
            // Losing a party has no effects of its own but a deadline.
            let _ = self.input(Input::Lost { device });
        }
    }

    fn allocate(&mut self, kind: RelayKind) {
        let made = self.arguments.relay.allocate(kind, self.arguments.id);
        let own = self.own.clone();
        self.allocating = Some(OwnedTask::spawn(async move {
            // Refused by an actor that has ended: then the lease frees the legs.
            let _ = own.try_cast(SessionMsg::Allocated(made.await));
        }));
    }

    fn query_media(&mut self) {
        let Some(lease) = &self.lease else { return };
        let report = self.arguments.relay.report(lease.id());
        let own = self.own.clone();
        self.asking = Some(OwnedTask::spawn(async move {
            // A relay that is too busy to answer has not lost the call's legs. The core asks again,
            // also when this is refused.
            if let Ok(report) = report.await {
                let _ = own.try_cast(SessionMsg::Media(report));
            }
        }));
    }

    fn changed(&mut self, summary: Summary) {
        if let Some(end) = &summary.end
            && !self.counted_end
        {
            self.counted_end = true;
            self.arguments.metrics.active.decrement(1.0);
            (self.arguments.metrics.ended)(end);
        }
        if self.arguments.context.trace.enabled() {
            self.arguments.context.trace.emit(TraceEvent::Session(self.traced(&summary)));
        }
        self.arguments.table.update(summary);
    }

    fn traced(&self, summary: &Summary) -> SessionEvent {
        SessionEvent {
            time: self.arguments.context.clock.now(),
            caller: summary.parties.caller.clone(),
            callee: summary.parties.callee.clone(),
            state: summary.state,
            end: summary.end.map(|end| (end.reason, end.who)),
            stage: summary.end.map(|end| end.stage),
            detail: summary.end.and_then(|end| end.detail).map(|word| word.as_str().to_owned()),
            account: summary.parties.caller_account.clone(),
            session: summary.id,
        }
    }

    /// Sets the one timer to the core's next deadline, unless it is set to it and still runs.
    fn arm(&mut self) {
        let Some(core) = &self.core else { return };
        let (now, due) = (self.now().mono, core.next_deadline(&self.arguments.config));
        if self.timer.as_ref().is_some_and(|(at, _)| Some(*at) == due && *at > now) {
            return;
        }
        let own = self.own.clone();
        self.timer = due.map(|at| {
            let task = OwnedTask::spawn(async move {
                tokio::time::sleep(at.since(now)).await;
                // Refused: whatever is handled next sets the timer again.
                let _ = own.try_cast(SessionMsg::Tick);
            });
            (at, task)
        });
    }

    fn tag(&mut self, reply: Reply<Result<SessionReply, ErrorBody>>) -> ReplyTag {
        self.next_tag += 1;
        self.replies.insert(self.next_tag, reply);
        ReplyTag(self.next_tag)
    }

    fn meet(&mut self, party: &Party) -> Endpoint {
        let endpoint = endpoint(party);
        self.connections.insert(endpoint.connection, (endpoint.clone(), party.connection.clone()));
        endpoint
    }

    fn now(&self) -> Now {
        let clock = &self.arguments.context.clock;
        Now { mono: clock.mono(), wall: clock.now() }
    }
}

fn endpoint(party: &Party) -> Endpoint {
    Endpoint {
        account: party.account.clone(),
        uri: party.uri.clone(),
        device: party.device.clone(),
        connection: party.connection.id(),
    }
}

fn answer(reply: CallReply) -> SessionReply {
    match reply {
        CallReply::State(state) => SessionReply::State(state),
        CallReply::Leg(leg) => SessionReply::Leg(leg),
        CallReply::Done => SessionReply::Freed,
    }
}
