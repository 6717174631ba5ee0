//! The state of one connection's actor, and the few things every operation does with it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crs_keys::identity::UserIdentity;
use crs_proto::codec::{Event, RequestId, encode_error, encode_event};
use crs_proto::connection::{
    CertificateTerms, Close, Connection as Core, ConnectionConfig, Now, OutboxLimits, Outcome,
    Rates, SlowReader,
};
use crs_proto::delivery::Delivery;
use crs_proto::keepalive::{KeepAliveConfig, Method};
use crs_proto::rate::Rate;
use crs_proto::wire::life::UnregisteredReason;
use crs_proto::wire::message::New;
use crs_proto::wire::{ErrorBody, ErrorCode};
use crs_types::limits::REQUESTS_IN_FLIGHT_MAX;
use crs_types::period::{GRACE, Standing};
use crs_types::{ClientAddr, ConnectionId, Mono};
use ractor::ActorRef;
use tokio::task::{AbortHandle, JoinSet};

use super::actor::admitted;
use super::attachment::Attachment;
use super::crowd::Member;
use super::handle::{ConnectionHandle, ConnectionMsg};
use super::inner::{Answer, Answered, Inner};
use super::io::{INBOX_FRAMES, Io};
use super::lifecycle::Lifecycle;
use super::op::message::Pages;
use super::outbox::Outbox;
use crate::accounts::ShownKeys;
use crate::context::{NodeContext, Services};
use crate::directory::KeyExchange;
use crate::handle::{Bounded, Gate, Handle};
use crate::listener::{CLOSE_TIMEOUT, Established, WebSocket};
use crate::settings::{KeepAlive, Settings};

/// Messages from the rest of the node that may wait for one connection; beyond it the connection
/// is cut and the client comes back for what it missed.
const EXTERNAL_QUEUE: u32 = 64;
/// Messages of the connection's own tasks: every request in flight, the inbox, a tick, a page,
/// the end twice. Never full, because each sender has at most one place.
const INTERNAL_QUEUE: u32 = (REQUESTS_IN_FLIGHT_MAX + INBOX_FRAMES + 8) as u32;
/// What may wait to be written to one client (OV-03).
const OUTBOX: OutboxLimits = OutboxLimits { frames: 256, bytes: 256 * 1024 };
/// How often a stopping connection looks whether its I/O has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// `SO_KEEPALIVE` probes without an answer before the kernel gives a connection up.
const TCP_PROBES: u32 = 3;

pub(super) struct State {
    pub(super) context: Arc<NodeContext>,
    pub(super) core: Core,
    pub(super) delivery: Delivery,
    pub(super) identity: UserIdentity,
    pub(super) keys: ShownKeys,
    pub(super) key_exchange: KeyExchange,
    pub(super) id: ConnectionId,
    pub(super) addr: ClientAddr,
    pub(super) outbox: Arc<Outbox>,
    pub(super) attachment: Option<Attachment>,
    pub(super) pages: Pages,
    /// When a detach-cleanup rule closes the connection.
    pub(super) close_at: Option<Mono>,
    /// A close is on its way: nothing more is read or sent.
    pub(super) closing: bool,
    /// The actor has nothing left to do.
    pub(super) over: bool,
    keep_alive: KeepAliveConfig,
    actor: Handle<ConnectionMsg>,
    /// How the rest of the node reaches this connection.
    pub(super) told: ConnectionHandle,
    io: AbortHandle,
    tasks: Option<Box<JoinSet<()>>>,
    pub(super) member: Member,
    pub(super) lifecycle: Lifecycle,
}

impl State {
    /// Starts the I/O of a new connection.
    pub(super) fn new(
        context: Arc<NodeContext>,
        established: Established,
        myself: ActorRef<Bounded<ConnectionMsg>>,
    ) -> io::Result<Box<Self>> {
        let Established { socket, identity, issuer, key_exchange, .. } = established;
        let (id, addr, lifecycle) = (established.id, established.addr, established.lifecycle);
        let keys = ShownKeys { generation: identity.generation, issuer };
        let now = now(&context);
        let settings = context.settings();
        let keep_alive = settings.keep_alive_for(addr.ip(), &identity.uri, &identity.account);
        let keep_alive = set_keep_alive(&socket, keep_alive)?;
        let terms = match identity.period.standing(now.wall) {
            Standing::Valid => CertificateTerms::Full { until: identity.period.end().plus(GRACE) },
            Standing::NotYet | Standing::UpdateOnly | Standing::Expired => {
                CertificateTerms::UpdateOnly
            }
        };
        let metrics = &context.metrics.connection;
        metrics.open.increment(1.0);
        metrics.opened.increment(1);
        let internal = Gate::new(INTERNAL_QUEUE, metrics.mailbox.clone());
        let external = Gate::new(EXTERNAL_QUEUE, metrics.mailbox.clone());
        let told = ConnectionHandle::new(id, Handle::new(myself.clone(), external));
        let member = join(&context, &identity, told.clone());
        let actor = Handle::new(myself, internal);
        let outbox = Arc::new(Outbox::new(metrics.outgoing.clone()));
        let io = Io::new(socket, Arc::clone(&outbox), actor.clone(), Arc::clone(&context.clock));
        let io = tokio::spawn(io.run()).abort_handle();
        Ok(Box::new(Self {
            core: Core::new(terms, now),
            delivery: Delivery::default(),
            attachment: None,
            pages: Pages::default(),
            close_at: None,
            closing: false,
            over: false,
            tasks: None,
            member,
            lifecycle,
            context,
            identity,
            keys,
            key_exchange,
            id,
            addr,
            outbox,
            keep_alive,
            actor,
            told,
            io,
        }))
    }

    pub(super) fn now(&self) -> Now {
        now(&self.context)
    }

    /// Limits as they are now, with the keep-alive chosen when the client connected (C-083).
    pub(super) fn config(&self) -> ConnectionConfig {
        config(&self.context.settings(), self.keep_alive)
    }

    /// How the rest of the node reaches this connection.
    pub(super) fn handle(&self) -> ConnectionHandle {
        self.told.clone()
    }

    /// The services, or the error that says that there are none.
    pub(super) fn services(&self) -> Result<Services, ErrorBody> {
        let starting = || ErrorBody::retry(ErrorCode::Unavailable, "the node is starting", 1000);
        self.context.services().cloned().ok_or_else(starting)
    }

    /// More than half of what may wait to be sent does.
    pub(super) fn is_behind(&self) -> bool {
        self.core.is_behind(&self.config())
    }

    /// Sends a finished reply.
    pub(super) fn reply(&mut self, text: String, bulk: bool) {
        if self.closing {
            return;
        }
        let written = self.outbox.take_written();
        if written.frames > 0 {
            self.core.sent(written.bytes);
            (1..written.frames).for_each(|_| self.core.sent(0));
        }
        match self.core.queue(&self.config(), text.len()) {
            Ok(()) => {
                self.context.metrics.connection.frames_out.increment(1);
                self.outbox.push(text, bulk);
            }
            Err(SlowReader) => self.cut_slow(),
        }
    }

    /// Sends an error.
    pub(super) fn refuse(&mut self, id: Option<RequestId>, error: &ErrorBody) {
        if error.code == ErrorCode::RateLimited {
            self.context.metrics.connection.rate_limited.increment(1);
        }
        self.reply(encode_error(id, error), false);
    }

    /// Sends an event.
    pub(super) fn event(&mut self, event: &Event) {
        if !self.closing {
            let seq = self.core.next_event();
            self.reply(encode_event(seq, event), false);
        }
    }

    /// An item came to the mailbox: what to tell the client, if anything.
    pub(super) fn arrived(&mut self, n: u64) -> Option<New> {
        self.attachment.is_some().then(|| self.delivery.arrived(n)).flatten()
    }

    /// Runs what answers request `id` beside the actor. It is aborted when the actor ends.
    pub(super) fn spawn(
        &mut self,
        id: RequestId,
        answer: impl Future<Output = Answer> + Send + 'static,
    ) {
        let actor = self.actor.clone();
        let tasks = self.tasks.get_or_insert_default();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            let answer = answer.await;
            let answered = Inner::Answered(Box::new(Answered { id, answer }));
            // Never full: see `INTERNAL_QUEUE`. If the actor is gone, so is the client.
            let _ = actor.try_cast(ConnectionMsg::internal(answered));
        });
    }

    /// Tells the core that a request has been answered, and goes on with what waited for it.
    pub(super) fn finished(&mut self, outcome: Outcome) {
        let (config, now) = (self.config(), self.now());
        for admission in self.core.finished(&config, outcome, now) {
            admitted(self, admission);
        }
        if self.core.in_flight() == 0 {
            // An idle connection keeps no task set.
            self.tasks = None;
        }
    }

    /// Ends the registration, if there is one; true when there was. The client is not told.
    pub(super) fn end_attachment(&mut self, reason: UnregisteredReason) -> bool {
        let Some(attachment) = self.attachment.take() else { return false };
        self.core.unregistered();
        attachment.end(reason);
        true
    }

    /// Starts the detach-cleanup delay, if a rule asks for one (C-086).
    pub(super) fn clean_up_later(&mut self) {
        let UserIdentity { uri, account, .. } = &self.identity;
        let settings = self.context.settings();
        if let Some(delay) = settings.detach_cleanup_for(self.addr.ip(), uri, account) {
            self.close_at = Some(self.context.clock.mono().plus(delay));
            self.arm();
        }
    }

    /// Closes behind what waits to be sent.
    pub(super) fn close(&mut self, close: Close) {
        self.closing = true;
        self.outbox.close(close);
    }

    /// Waits until the close has been sent, as long as a client may take for it.
    pub(super) async fn io_ended(&self) {
        let ended = async {
            while !self.io.is_finished() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let _ = tokio::time::timeout(2 * CLOSE_TIMEOUT, ended).await;
    }

    /// Asks for the next tick.
    pub(super) fn arm(&self) {
        let now = self.now();
        let core = self.core.next_wake(&self.config(), now);
        let cleanup = self.close_at.map_or(Duration::MAX, |at| at.since(now.mono));
        self.outbox.wake_in(core.min(cleanup).max(Duration::from_millis(1)));
    }

    /// The client does not read: nothing can be told to it any more.
    fn cut_slow(&mut self) {
        self.context.metrics.connection.cut_slow.increment(1);
        let outgoing = &self.context.metrics.connection.outgoing;
        outgoing.offered.increment(1);
        outgoing.refused.increment(1);
        self.closing = true;
        self.end_attachment(UnregisteredReason::Error);
        self.io.abort();
        self.over = true;
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.io.abort();
        self.context.metrics.connection.open.decrement(1.0);
    }
}

/// Counts the connection among its user's.
fn join(context: &NodeContext, identity: &UserIdentity, told: ConnectionHandle) -> Member {
    let UserIdentity { account, uri, .. } = identity;
    let present = context.directory.find(account, uri);
    let registered = |id| present.iter().any(|registration| registration.connection == id);
    context.crowd.enter((account.clone(), uri.clone()), told, registered)
}

fn now(context: &NodeContext) -> Now {
    Now { mono: context.clock.mono(), wall: context.clock.now() }
}

fn config(settings: &Settings, keep_alive: KeepAliveConfig) -> ConnectionConfig {
    let limits = &settings.limits;
    ConnectionConfig {
        keep_alive,
        rates: Rates {
            attach: Rate::per_minute(limits.attach_per_minute),
            invite: Rate::per_minute(limits.invite_per_minute),
            message: Rate::per_minute(limits.message_per_minute),
            lookup: Rate::per_minute(limits.lookup_per_minute),
            ..Rates::default()
        },
        outbox: OUTBOX,
        ..ConnectionConfig::default()
    }
}

/// Translates the rule; the `tcp` method is set on the socket (C-080, Q-54).
fn set_keep_alive(socket: &WebSocket, keep_alive: KeepAlive) -> io::Result<KeepAliveConfig> {
    match keep_alive {
        KeepAlive::Ws { interval, grace } => {
            Ok(KeepAliveConfig { method: Method::Ws, interval, grace })
        }
        KeepAlive::Tcp { interval } => {
            let probing = socket2::TcpKeepalive::new()
                .with_time(interval)
                .with_interval(interval)
                .with_retries(TCP_PROBES);
            socket2::SockRef::from(socket.tcp()).set_tcp_keepalive(&probing)?;
            Ok(KeepAliveConfig { method: Method::Tcp, interval, grace: Duration::ZERO })
        }
    }
}
