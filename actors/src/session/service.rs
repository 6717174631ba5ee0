//! What connections and the operator ask of this node's sessions.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crs_proto::session::{
    CallRequest, Callee, DetailWord, Endpoint, Refused, SessionConfig, Summary,
};
use crs_proto::wire::call::{CallState, HangupReason, Invite};
use crs_proto::wire::{ErrorBody, ErrorCode};
use crs_types::{AccountId, LegId, SessionId, Uri};
use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::SessionMsg;
use super::actor::{Arguments, SESSION_QUEUE, SessionActor};
use super::media::MediaRelay;
use super::metrics::SessionMetrics;
use super::table::{NoPlace, SessionTable};
use crate::connection::ConnectionHandle;
use crate::context::{DrainState, NodeContext};
use crate::handle::{CastError, Gate, Handle, Reply};
use crate::services::{Answering, Party, SessionReply, SessionRequest, Sessions};
use crate::supervisor::SupervisorHandle;

/// Calls that one user has made or answered and that have not ended; a further invite from or to
/// the user is hung up with `capacity`.
pub const USER_SESSIONS_MAX: usize = 8;
/// Unanswered calls to one user, which do not count among the user's own: otherwise whoever calls
/// and waits could keep the user from calling. A further invite is hung up with `capacity`.
pub const USER_RINGING_MAX: usize = 8;
/// Those of one caller among them: one call, and another from his second device.
pub const PAIR_RINGING_MAX: usize = 2;
/// Sessions that one user has begun and that exist, ended ones included while they are
/// remembered; a further invite is refused with `rate-limited`. Without this, a user whose rate of
/// invites the operator has raised fills the node's table.
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

    /// Sessions that have not ended.
    pub fn open_count(&self) -> usize {
        self.table.open_count()
    }

    /// Ends one session for the operator; false when there is none.
    pub fn end(&self, id: SessionId) -> bool {
        let end = SessionMsg::End(HangupReason::Operator, Some(DetailWord::Command));
        self.table.send(id, end).is_ok()
    }

    /// Ends all sessions of a user who was blocked or whose account is gone.
    pub fn end_user(&self, account: &AccountId, uri: &Uri) {
        for id in self.table.of_user(&(account.clone(), uri.clone())) {
            let end = SessionMsg::End(HangupReason::NotAllowed, Some(DetailWord::Blacklisted));
            let _ = self.table.send(id, end);
        }
    }

    /// The request is in its session's queue when this returns, so that a client which does not
    /// wait for replies has its requests about one session taken in the order it sent them.
    fn carry_out(&self, from: Party, request: SessionRequest) -> Answering<SessionReply> {
        let (found, request) = match request {
            SessionRequest::Invite(invite) => return self.invite(from, invite),
            SessionRequest::Ringing(r) => (Some(r.session), CallRequest::Ringing),
            SessionRequest::Answer(a) => (Some(a.session), CallRequest::Answer(a.answer)),
            SessionRequest::Hangup(h) => {
                let detail = h.detail.as_deref().and_then(DetailWord::parse);
                (Some(h.session), CallRequest::Hangup { reason: h.reason, detail })
            }
            SessionRequest::RelayAlloc(a) => (Some(a.session), CallRequest::Alloc),
            SessionRequest::RelayRefresh(r) => {
                let leg = LegId(r.leg);
                (self.table.of_leg(leg), CallRequest::Refresh(leg))
            }
            SessionRequest::RelayFree(f) => {
                let leg = LegId(f.leg);
                (self.table.of_leg(leg), CallRequest::Free(leg))
            }
        };
        match found {
            Some(id) => self.ask(id, from, request),
            None => refuse(gone()),
        }
    }

    fn ask(&self, id: SessionId, from: Party, request: CallRequest) -> Answering<SessionReply> {
        let (reply, answer) = Reply::pair();
        match self.table.send(id, SessionMsg::Request { from, request, reply }) {
            Ok(()) => Box::pin(settle(answer)),
            Err(CastError::Gone) => refuse(gone()),
            Err(CastError::Full) => refuse(busy()),
        }
    }

    /// Takes the session's place at once; its actor starts in the future.
    fn invite(&self, from: Party, invite: Invite) -> Answering<SessionReply> {
        let Some(context) = self.context.upgrade() else { return refuse(stopping()) };
        let account = callee(&context, &from, &invite.to);
        let users = |account: AccountId| (account, invite.to.clone());
        let caller = (from.account.clone(), from.uri.clone());
        // Read anew each time, for SIGHUP may change it.
        let most = context.settings().limits.sessions;
        let reserved = self.table.reserve(invite.session, caller, account.clone().map(users), most);
        let reserved = match reserved {
            Ok(reserved) => reserved,
            Err(NoPlace::Taken) => {
                return self.ask(invite.session, from, CallRequest::Invite(invite));
            }
            Err(NoPlace::Begun) => {
                let text = format!("a user may have begun at most {USER_BEGUN_MAX} calls of late");
                return refuse(ErrorBody::retry(ErrorCode::RateLimited, text, BEGUN_RETRY_MS));
            }
            Err(NoPlace::Node) => return refuse(full()),
        };
        let (callee, devices) = match account {
            Some(account) => ring(&context, &from, &invite.to, account, reserved.refused),
            None => (Callee::NotFound, Vec::new()),
        };
        let service = self.clone();
        Box::pin(async move {
            let handle = service.spawn(&context, invite.session).await?;
            let (reply, answer) = Reply::pair();
            reserved.run(handle, SessionMsg::Start { from, invite, callee, devices, reply });
            settle(answer).await
        })
    }

    async fn spawn(
        &self,
        context: &Arc<NodeContext>,
        id: SessionId,
    ) -> Result<Handle<SessionMsg>, ErrorBody> {
        let gate = Gate::new(SESSION_QUEUE, context.metrics.session_mailbox.clone());
        let arguments = Arguments {
            id,
            context: Arc::clone(context),
            config: Arc::clone(&self.config),
            relay: Arc::clone(&self.relay),
            table: Arc::clone(&self.table),
            metrics: self.metrics.clone(),
        };
        let started = self.supervisor.spawn(SessionActor, arguments).await;
        started.map(|actor| Handle::new(actor, gate)).map_err(|error| {
            tracing::warn!(%error, "session refused");
            full()
        })
    }

    /// Asks all sessions at once: one that hangs does not hold up the others.
    fn on_attached(
        &self,
        party: &Party,
        resume: &[SessionId],
    ) -> impl Future<Output = Vec<CallState>> + Send + use<> {
        let user = (party.account.clone(), party.uri.clone());
        let mut asked = Vec::new();
        for id in self.table.open_of_user(&user, resume) {
            let (reply, answer) = Reply::pair();
            let (party, resumes) = (party.clone(), resume.contains(&id));
            if self.table.send(id, SessionMsg::Attached { party, resumes, reply }).is_ok() {
                asked.push(tokio::time::timeout(CALL_TIMEOUT, answer));
            }
        }
        async move {
            let states = join_all(asked).await.into_iter();
            states.filter_map(|state| state.ok()?.ok()?).collect()
        }
    }
}

impl Sessions for SessionService {
    fn request(&self, from: Party, request: SessionRequest) -> Answering<SessionReply> {
        self.carry_out(from, request)
    }

    fn attached(&self, party: Party, resume: Vec<SessionId>) -> Answering<Vec<CallState>> {
        let states = self.on_attached(&party, &resume);
        Box::pin(async move { Ok(states.await) })
    }

    fn detached(&self, party: Party) {
        let user = (party.account.clone(), party.uri.clone());
        for id in self.table.open_of_user(&user, &[]) {
            // A session too busy to hear it finds out when it notifies the connection.
            let _ = self.table.send(id, SessionMsg::Detached(party.clone()));
        }
    }
}

/// The account that the invite's URI leads to.
fn callee(context: &NodeContext, from: &Party, to: &Uri) -> Option<AccountId> {
    let view = context.accounts.view();
    let account = view.resolve(&from.account, &from.uri, to, context.clock.now())?;
    Some(account.id.clone())
}

/// The devices that ring, or why none does.
fn ring(
    context: &NodeContext,
    from: &Party,
    to: &Uri,
    account: AccountId,
    refused: Option<Refused>,
) -> (Callee, Vec<ConnectionHandle>) {
    let why = match context.drain_state() {
        DrainState::Draining | DrainState::Stopping => Some(Refused::NodeDrain),
        DrainState::Serving => refused,
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

async fn settle(answer: oneshot::Receiver<Outcome>) -> Outcome {
    match tokio::time::timeout(CALL_TIMEOUT, answer).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(gone()),
        Err(_) => Err(busy()),
    }
}

fn refuse(error: ErrorBody) -> Answering<SessionReply> {
    Box::pin(std::future::ready(Err(error)))
}

fn full() -> ErrorBody {
    ErrorBody::retry(ErrorCode::Capacity, "this node has no room for more sessions", 5000)
}

fn busy() -> ErrorBody {
    ErrorBody::retry(ErrorCode::Unavailable, "the session does not answer", 1000)
}

fn gone() -> ErrorBody {
    ErrorBody::new(ErrorCode::Gone, "no such session of yours")
}

fn stopping() -> ErrorBody {
    ErrorBody::retry(ErrorCode::Unavailable, "the node is stopping", 1000)
}
