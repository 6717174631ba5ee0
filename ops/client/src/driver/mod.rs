//! The client's one task: owns the connection, the cores and the journals, and runs the effects
//! of the cores.

mod calls;
mod connection;
mod contacts;
mod found;
mod incoming;
mod mail;
mod requests;
mod updates;
mod writer;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::Pin;
use std::time::Duration;

use crs_proto::wire::lookup::Found;
use crs_types::{MessageId, Mono, OsRng, Uri};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

use crate::client::command::{Command, Confirmed, Reply};
use crate::core::backoff::Backoff;
use crate::core::{contacts as contact_core, inbox, outbox};
use crate::error::ClientError;
use crate::event::Event;
use crate::net::Link;
use crate::options::Options;
use crate::profile::Profile;
pub(crate) use calls::RingingCall;
use connection::Online;
use requests::Requests;
use writer::Writer;

/// How a client stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Registered at a server.
    pub attached: bool,
    /// The server does not let this client in; it tries again slowly.
    pub refused: bool,
    /// Another device has taken this one's place: it stays away.
    pub replaced: bool,
    /// The server in use or tried last.
    pub server: String,
    /// The server's node name, once it said so.
    pub node: String,
    /// Why the client is not attached, or why a post was refused last.
    pub trouble: Option<String>,
    /// Messages in the outbox.
    pub outbox: usize,
    /// Connections made since the start.
    pub connections: u64,
    /// Events dropped because the application did not read them.
    pub dropped_events: u64,
}

type Connecting = Pin<Box<dyn Future<Output = Result<Link, ClientError>> + Send>>;

/// The state of the task.
pub(crate) struct Driver {
    profile: Profile,
    options: Options,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Event>,
    status: watch::Sender<Status>,
    rng: OsRng,
    backoff: Backoff,
    attempts: usize,
    connect_at: Option<Mono>,
    connecting: Option<Connecting>,
    online: Option<Online>,
    requests: Requests,
    inbox: inbox::Inbox,
    inbox_writer: Writer<inbox::Record, mail::InboxWrite>,
    inbox_wake: Option<Mono>,
    /// Entries the application has dealt with, which the journal could not write.
    undone: BTreeSet<u64>,
    /// The last failure of a journal, until a batch is written again.
    storage_failure: Option<String>,
    to_hand: VecDeque<(u64, inbox::Entry)>,
    outbox: outbox::Outbox,
    outbox_writer: Writer<outbox::Record, u64>,
    outbox_wake: Option<Mono>,
    accepting: BTreeMap<MessageId, (Reply<MessageId>, Reply<Confirmed>)>,
    confirming: BTreeMap<MessageId, Reply<Confirmed>>,
    found: found::FoundUsers,
    lookup_waiting: Vec<(Uri, Reply<Found>)>,
    seal_waiting: Vec<(MessageId, Uri)>,
    contacts: contact_core::Contacts,
    contacts_writer: Writer<contact_core::Record, Option<Reply<()>>>,
    withheld: contacts::Withheld,
    calls: calls::Calls,
    updates: updates::Updates,
    closing: Option<oneshot::Sender<()>>,
}

/// What the task woke up for.
enum Happened {
    Command(Option<Command>),
    Connected(Box<Result<Link, ClientError>>),
    Frame(connection::Heard),
    InboxWritten(Vec<mail::InboxWrite>, Result<(), crate::journal::JournalError>),
    OutboxWritten(Vec<u64>, Result<(), crate::journal::JournalError>),
    ContactsWritten(Vec<Option<Reply<()>>>, Result<(), crate::journal::JournalError>),
    Room,
    Time,
}

impl Driver {
    /// Opens the journals; nothing is connected yet.
    pub(crate) async fn new(
        profile: Profile,
        options: Options,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<Event>,
    ) -> Result<Self, ClientError> {
        let opened = tokio::task::spawn_blocking(move || {
            let inbox = profile.inbox()?;
            let outbox = profile.outbox()?;
            let contacts = profile.contacts()?;
            Ok::<_, ClientError>((profile, inbox, outbox, contacts))
        });
        let (profile, inbox, outbox, contacts) =
            opened.await.map_err(|_| ClientError::Closed)??;
        let cuts = [("inbox", inbox.cut), ("outbox", outbox.cut), ("contacts", contacts.cut)];
        for (name, cut) in cuts {
            if cut > 0 {
                tracing::warn!(journal = name, bytes = cut, "torn end of journal cut off");
            }
        }
        let acknowledges = options.role == crs_proto::wire::life::Role::Primary;
        let inbox_core = inbox::Inbox::restore(inbox.records, acknowledges);
        let own = profile.identity();
        let own = (own.uri.clone(), own.account.clone());
        let to_hand = inbox_core.pending().map(|(seq, e)| (seq, e.clone())).collect();
        Ok(Self {
            found: found::FoundUsers::default(),
            profile,
            backoff: Backoff::new(options.backoff_cap),
            commands,
            events,
            status: watch::Sender::new(Status::default()),
            rng: OsRng,
            attempts: 0,
            connect_at: Some(options.clock.mono()),
            options,
            connecting: None,
            online: None,
            requests: Requests::default(),
            inbox: inbox_core,
            inbox_writer: Writer::new(inbox.journal),
            inbox_wake: None,
            undone: BTreeSet::new(),
            storage_failure: None,
            to_hand,
            outbox: outbox::Outbox::restore(outbox.records),
            outbox_writer: Writer::new(outbox.journal),
            outbox_wake: None,
            accepting: BTreeMap::new(),
            confirming: BTreeMap::new(),
            lookup_waiting: Vec::new(),
            seal_waiting: Vec::new(),
            contacts: contact_core::Contacts::restore(contacts.records, own),
            contacts_writer: Writer::new(contacts.journal),
            withheld: contacts::Withheld::default(),
            calls: calls::Calls::default(),
            updates: updates::Updates::default(),
            closing: None,
        })
    }

    /// A view of how things stand.
    pub(crate) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Runs until the client is closed or dropped.
    pub(crate) async fn run(mut self) {
        loop {
            self.flush().await;
            self.compact();
            let waiting = self.outbox.len();
            self.status.send_if_modified(|s| std::mem::replace(&mut s.outbox, waiting) != waiting);
            if self.closing.is_some() && self.all_is_written() {
                break;
            }
            match self.next().await {
                Happened::Command(Some(command)) => self.command(command),
                Happened::Command(None) => break,
                Happened::Connected(result) => self.connected(*result),
                Happened::Frame(heard) => self.heard(heard).await,
                Happened::InboxWritten(tokens, result) => self.inbox_written(tokens, result),
                Happened::OutboxWritten(tokens, result) => self.outbox_written(tokens, result),
                Happened::ContactsWritten(tokens, result) => self.contacts_written(tokens, result),
                Happened::Room => self.hand_out(),
                Happened::Time => self.tick(),
            }
        }
        self.say_goodbye().await;
        if let Some(reply) = self.closing.take() {
            let _ = reply.send(());
        }
    }

    fn all_is_written(&self) -> bool {
        self.inbox_writer.is_idle()
            && self.outbox_writer.is_idle()
            && self.contacts_writer.is_idle()
    }

    async fn next(&mut self) -> Happened {
        let wait = self.next_deadline();
        tokio::select! {
            command = self.commands.recv() => Happened::Command(command),
            result = poll_connecting(&mut self.connecting) => Happened::Connected(Box::new(result)),
            heard = connection::hear(&mut self.online) => Happened::Frame(heard),
            (tokens, result) = self.inbox_writer.finished() => {
                Happened::InboxWritten(tokens, result)
            }
            (tokens, result) = self.outbox_writer.finished() => {
                Happened::OutboxWritten(tokens, result)
            }
            (tokens, result) = self.contacts_writer.finished() => {
                Happened::ContactsWritten(tokens, result)
            }
            _ = self.events.reserve(), if !self.to_hand.is_empty() => Happened::Room,
            () = tokio::time::sleep(wait) => Happened::Time,
        }
    }

    fn next_deadline(&self) -> Duration {
        let now = self.options.clock.mono();
        let deadlines = [
            self.connect_at,
            self.inbox_wake,
            self.outbox_wake,
            self.requests.deadline(),
            self.online.as_ref().map(|online| online.deadline(self.calls.any())),
            self.updates.deadline(),
        ];
        let next = deadlines.into_iter().flatten().min();
        next.map_or(Duration::from_secs(60), |at| at.since(now)).min(Duration::from_secs(60))
    }

    fn tick(&mut self) {
        let now = self.options.clock.mono();
        if self.connect_at.is_some_and(|at| now >= at) {
            self.start_connecting();
        }
        if self.inbox_wake.is_some_and(|at| now >= at) {
            self.inbox_wake = None;
            self.inbox_input(inbox::Input::Tick);
        }
        if self.outbox_wake.is_some_and(|at| now >= at) {
            self.outbox_wake = None;
            self.outbox_input(outbox::Input::Tick);
        }
        if self.requests.expired(now) {
            self.lost("a request was not answered in time");
        }
        self.keep_alive(now);
        self.month_change();
        self.updates_tick(now);
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Send { to, body, reply, confirmed } => self.send(to, body, reply, confirmed),
            Command::Done { seq, reply } => self.done(seq, reply),
            Command::Lookup { uri, reply } => self.lookup(uri, reply),
            Command::Request { op, reply } => self.application_request(*op, reply),
            Command::Contacts { reply } => {
                let _ = reply.send(Ok(self.contacts.all()));
            }
            Command::Accept { uri, account, reply } => self.accept_contact(uri, account, reply),
            Command::Update { reply } => self.update_asked(reply),
            Command::State(state) => self.call_state(*state),
            Command::Watch { session, states } => self.calls.watch(session, states),
            Command::Unwatch { session } => self.calls.unwatch(session),
            Command::Ringing { session, reply } => {
                let _ = reply.send(self.calls.ringing(session));
            }
            Command::Identity { reply } => {
                let _ = reply.send(Ok(self.profile.identity().clone()));
            }
            Command::Close { reply } => self.closing = Some(reply),
        }
    }

    /// Tells the application; an event that nobody reads is dropped and counted.
    fn tell(&mut self, event: Event) {
        if self.events.try_send(event).is_err() {
            self.status.send_modify(|s| s.dropped_events += 1);
        }
    }
}

async fn poll_connecting(connecting: &mut Option<Connecting>) -> Result<Link, ClientError> {
    let Some(attempt) = connecting else { return std::future::pending().await };
    let result = attempt.await;
    *connecting = None;
    result
}
