//! What connections and the operator ask of this node's sessions.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crs_proto::session::{
    CallRequest, Callee, DetailWord, Endpoint, Refused, SessionConfig, Summary,
};
use crs_proto::wire::call::{CallState, HangupReason, Invite};
use crs_proto::wire::{ErrorBody, ErrorCode};
use crs_types::{AccountId, SessionId, Uri};

use super::SessionMsg;
use super::actor::{Arguments, SESSION_QUEUE, SessionActor};
use super::media::MediaRelay;
use super::metrics::SessionMetrics;
use super::table::SessionTable;
use crate::connection::ConnectionHandle;
use crate::context::{DrainState, NodeContext};
use crate::handle::{CallError, CastError, Gate, Handle, Reply};
use crate::services::{Answering, Party, SessionReply, SessionRequest, Sessions};
use crate::supervisor::SupervisorHandle;

/// Sessions of one user that have not ended; a further invite is hung up with `capacity`.
pub const USER_SESSIONS_MAX: usize = 8;
/// Sessions that one user has begun and that exist, ended ones included while they are
/// remembered; a further invite is refused with `rate-limited`. Rates are per connection: without
/// this, whoever reconnects fills the node's table.
pub const USER_BEGUN_MAX: usize = 64;
/// When to try again after that: ended sessions are forgotten by then.
const BEGUN_RETRY_MS: u64 = 30_000;
/// Longest wait for a session's actor; an allocation is the slowest thing it does.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

type Outcome = Result<SessionReply, ErrorBody>;

/// The sessions of one node. Cheap to clone.
#[derive(Clone)]
pub struct SessionService {
    /// The context holds this service, so it is not held back.
    context: Weak<NodeContext>,
    supervisor: SupervisorHandle,
    relay: Arc<dyn MediaRelay>,
    config: Arc<SessionConfig>,
    metrics: SessionMetrics,
    table: Arc<SessionTable>,
}

impl SessionService {
    /// Sessions below `supervisor`, whose population limits them.
    pub fn new(
        context: &Arc<NodeContext>,
        supervisor: SupervisorHandle,
        relay: Arc<dyn MediaRelay>,
        config: SessionConfig,
        metrics: SessionMetrics,
    ) -> Self {
        Self {
            context: Arc::downgrade(context),
            supervisor,
            relay,
            config: Arc::new(config),
            metrics,
            table: Arc::default(),
        }
    }

    /// All sessions, for `show session`; ended ones while they are remembered.
    pub fn snapshot(&self) -> Vec<Summary> {
        self.table.snapshot()
    }

    /// Ends one session for the operator; false when there is none.
    pub fn end(&self, id: SessionId) -> bool {
        let Some(handle) = self.table.find(id) else { return false };
        let end = SessionMsg::End(HangupReason::Operator, Some(DetailWord::Command));
        handle.try_cast(end).is_ok()
    }

    /// Ends all sessions of a user who was blocked or whose account is gone.
    pub fn end_user(&self, account: &AccountId, uri: &Uri) {
        for (_, handle) in self.table.of_user(&(account.clone(), uri.clone())) {
            let end = SessionMsg::End(HangupReason::NotAllowed, Some(DetailWord::Blacklisted));
            let _ = handle.try_cast(end);
        }
    }

    /// The request is in its session's queue when this returns, so that a client which does not
    /// wait for replies has its requests about one session taken in the order it sent them.
    fn carry_out(&self, from: Party, request: SessionRequest) -> Answering<SessionReply> {
        let (found, request) = match request {
            SessionRequest::Invite(invite) => return Box::pin(self.clone().invite(from, invite)),
            SessionRequest::Ringing(r) => (self.table.find(r.session), CallRequest::Ringing),
            SessionRequest::Answer(a) => {
                (self.table.find(a.session), CallRequest::Answer(a.answer))
            }
            SessionRequest::Hangup(h) => {
                let detail = h.detail.as_deref().and_then(DetailWord::parse);
                let request = CallRequest::Hangup { reason: h.reason, detail };
                (self.table.find(h.session), request)
            }
            SessionRequest::RelayAlloc(a) => (self.table.find(a.session), CallRequest::Alloc),
            SessionRequest::RelayRefresh(r) => {
                (self.table.find_leg(r.leg), CallRequest::Refresh(r.leg))
            }
            SessionRequest::RelayFree(f) => (self.table.find_leg(f.leg), CallRequest::Free(f.leg)),
        };
        match found {
            Some(handle) => Box::pin(ask(&handle, from, request)),
            None => Box::pin(std::future::ready(Err(gone()))),
        }
    }

    async fn invite(self, from: Party, invite: Invite) -> Outcome {
        if let Some(handle) = self.table.find(invite.session) {
            return ask(&handle, from, CallRequest::Invite(invite)).await;
        }
        let context = self.context.upgrade().ok_or_else(stopping)?;
        if self.table.begun_by(&(from.account.clone(), from.uri.clone())) >= USER_BEGUN_MAX {
            let text = format!("a user may have begun at most {USER_BEGUN_MAX} calls of late");
            return Err(ErrorBody::retry(ErrorCode::RateLimited, text, BEGUN_RETRY_MS));
        }
        let (callee, devices) = self.resolve(&context, &from, &invite.to);
        let mut users = vec![(from.account.clone(), from.uri.clone())];
        if let Callee::Found { account, .. } | Callee::Refused { account, .. } = &callee {
            users.push((account.clone(), invite.to.clone()));
        }
        let handle = self.spawn(&context, invite.session).await?;
        if let Err(first) = self.table.insert(invite.session, handle.clone(), users) {
            // The same invite came twice at once: the first one is the session.
            handle.actor().stop(None);
            return ask(&first, from, CallRequest::Invite(invite)).await;
        }
        let start = |reply| SessionMsg::Start { from, invite, callee, devices, reply };
        settle(handle.call(start, CALL_TIMEOUT).await)
    }

    async fn spawn(
        &self,
        context: &Arc<NodeContext>,
        id: SessionId,
    ) -> Result<Handle<SessionMsg>, ErrorBody> {
        // Read anew each time, for SIGHUP may change it; the population is the limit's limit.
        if self.supervisor.population() >= context.settings().limits.sessions {
            return Err(full());
        }
        let gate = Gate::new(SESSION_QUEUE, context.metrics.session_mailbox.clone());
        let arguments = Arguments {
            id,
            context: Arc::clone(context),
            config: Arc::clone(&self.config),
            relay: Arc::clone(&self.relay),
            table: Arc::clone(&self.table),
            metrics: self.metrics.clone(),
            gate: Arc::clone(&gate),
        };
        let started = self.supervisor.spawn(SessionActor, arguments).await;
        started.map(|actor| Handle::new(actor, gate)).map_err(|error| {
            tracing::warn!(%error, "session refused");
            full()
        })
    }

    fn resolve(
        &self,
        context: &NodeContext,
        from: &Party,
        to: &Uri,
    ) -> (Callee, Vec<ConnectionHandle>) {
        let view = context.accounts.view();
        let now = context.clock.now();
        let Some(account) = view.resolve(&from.account, &from.uri, to, now) else {
            return (Callee::NotFound, Vec::new());
        };
        let account = account.id.clone();
        let (own, other) =
            ((from.account.clone(), from.uri.clone()), (account.clone(), to.clone()));
        let (own_load, _) = self.table.load_of(&own, &other);
        let (other_load, glare) = self.table.load_of(&other, &own);
        let why = match context.drain_state() {
            DrainState::Draining | DrainState::Stopping => Some(Refused::NodeDrain),
            DrainState::Serving if glare && own != other => Some(Refused::Glare),
            DrainState::Serving if own_load.max(other_load) >= USER_SESSIONS_MAX => {
                Some(Refused::UserSessions)
            }
            DrainState::Serving => None,
        };
        if let Some(why) = why {
            return (Callee::Refused { account, why }, Vec::new());
        }
        let mut found = context.directory.find(&account, to);
        found.retain(|r| r.connection != from.connection.id());
        let handles = found.iter().map(|r| r.handle.clone()).collect();
        let devices = found
            .iter()
            .map(|r| Endpoint {
                account: r.account.clone(),
                uri: r.uri.clone(),
                device: r.device.clone(),
                connection: r.connection,
            })
            .collect();
        (Callee::Found { account, devices, push: false }, handles)
    }

    async fn on_attached(self, party: Party, resume: Vec<SessionId>) -> Vec<CallState> {
        let mut states = Vec::new();
        let user = (party.account.clone(), party.uri.clone());
        for (id, handle) in self.table.open_of_user(&user, &resume) {
            let (party, resumes) = (party.clone(), resume.contains(&id));
            let message = |reply| SessionMsg::Attached { party, resumes, reply };
            if let Ok(Some(state)) = handle.call(message, CALL_TIMEOUT).await {
                states.push(state);
            }
        }
        states
    }
}

impl Sessions for SessionService {
    fn request(&self, from: Party, request: SessionRequest) -> Answering<SessionReply> {
        self.carry_out(from, request)
    }

    fn attached(&self, party: Party, resume: Vec<SessionId>) -> Answering<Vec<CallState>> {
        let service = self.clone();
        Box::pin(async move { Ok(service.on_attached(party, resume).await) })
    }

    fn detached(&self, party: Party) {
        let user = (party.account.clone(), party.uri.clone());
        for (_, handle) in self.table.open_of_user(&user, &[]) {
            // A session too busy to hear it finds out when it notifies the connection.
            let _ = handle.try_cast(SessionMsg::Detached(party.clone()));
        }
    }
}

fn ask(
    handle: &Handle<SessionMsg>,
    from: Party,
    request: CallRequest,
) -> impl Future<Output = Outcome> + Send + use<> {
    let message = |reply: Reply<Outcome>| SessionMsg::Request { from, request, reply };
    let answer = handle.begin(message, CALL_TIMEOUT);
    async move { settle(answer.await) }
}

fn settle(answer: Result<Outcome, CallError>) -> Outcome {
    match answer {
        Ok(outcome) => outcome,
        Err(CallError::Cast(CastError::Gone)) => Err(gone()),
        Err(CallError::Cast(CastError::Full) | CallError::Timeout) => {
            Err(ErrorBody::retry(ErrorCode::Unavailable, "the session does not answer", 1000))
        }
    }
}

fn full() -> ErrorBody {
    ErrorBody::retry(ErrorCode::Capacity, "this node has no room for more sessions", 5000)
}

fn gone() -> ErrorBody {
    ErrorBody::new(ErrorCode::Gone, "no such session of yours")
}

fn stopping() -> ErrorBody {
    ErrorBody::retry(ErrorCode::Unavailable, "the node is stopping", 1000)
}
