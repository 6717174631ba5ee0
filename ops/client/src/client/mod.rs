//! [`Client`]: the handle that applications hold.
//!
//! Order of use: [`Client::open`] (or [`Client::with_identity`]), then anything; connecting,
//! reconnecting and registering happen by themselves from the start. [`Client::next_event`]
//! must be read by somebody. Messages are safe on disk before [`Client::send`] returns and
//! before the server is told that they arrived.

pub(crate) mod command;

use std::path::Path;
use std::time::Duration;

use crs_proto::codec::Op;
use crs_proto::wire::call::{CallState, Hangup, HangupReason};
use crs_proto::wire::life::{TimeReply, TimeRequest};
use crs_proto::wire::lookup::Found;
use crs_types::{AccountId, MessageId, Period, SessionId, Uri};
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use crate::driver::{self, Status};
use crate::error::ClientError;
use crate::event::Event;
use crate::identity::Identity;
use crate::options::{CallMedia, CallReport, Options};
use crate::profile::Profile;
use command::{Command, Confirmed};

/// Commands that may wait for the client's task.
pub(crate) const COMMANDS_MAX: usize = 64;
/// Events that may wait for the application.
pub(crate) const EVENTS_MAX: usize = 256;

/// A client: one identity, one registration, its journals and its calls.
#[derive(Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    events: Mutex<mpsc::Receiver<Event>>,
    status: watch::Receiver<Status>,
    task: Option<tokio::task::JoinHandle<()>>,
    options: Options,
}

impl Client {
    /// Opens a profile directory and starts to connect. One process at a time may use a profile.
    pub async fn open(profile: &Path, options: Options) -> Result<Self, ClientError> {
        let path = profile.to_owned();
        let profile = tokio::task::spawn_blocking(move || Profile::open(&path))
            .await
            .map_err(|_| ClientError::Closed)??;
        Self::start(profile, options).await
    }

    /// A client that lives in memory only: journals and new keys are gone when it is closed.
    /// For the health check and for tests.
    pub async fn with_identity(identity: Identity, options: Options) -> Result<Self, ClientError> {
        Self::start(Profile::in_memory(identity), options).await
    }

    async fn start(profile: Profile, options: Options) -> Result<Self, ClientError> {
        let (commands, command_rx) = mpsc::channel(COMMANDS_MAX);
        let (event_tx, events) = mpsc::channel(EVENTS_MAX);
        let driver = driver::Driver::new(profile, options.clone(), command_rx, event_tx).await?;
        let status = driver.status();
        let task = Some(tokio::spawn(driver.run()));
        Ok(Self { commands, events: Mutex::new(events), status, task, options })
    }

    /// Waits until the client is registered; fails with the reason of the last attempt, at once
    /// when the server does not let this client in.
    pub async fn wait_attached(&self, within: Duration) -> Result<(), ClientError> {
        let mut status = self.status.clone();
        let wait = status.wait_for(|s| s.attached || s.refused || s.replaced);
        match tokio::time::timeout(within, wait).await {
            Ok(Ok(status)) if status.attached => Ok(()),
            Ok(Ok(status)) if status.replaced => Err(ClientError::Replaced),
            Ok(Ok(status)) => Err(not_admitted(&status)),
            Ok(Err(_)) => Err(ClientError::Closed),
            Err(_) => Err(ClientError::Connect {
                server: self.status.borrow().server.clone(),
                why: self.status.borrow().trouble.clone().unwrap_or_else(|| {
                    format!("not registered within {:.1} s", within.as_secs_f64())
                }),
            }),
        }
    }

    /// How things stand.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Takes a message for delivery: returns once it is on disk here. What becomes of it is told
    /// by `Event::Posted` or `Event::PostFailed`.
    pub async fn send(&self, to: &Uri, body: &[u8]) -> Result<MessageId, ClientError> {
        let (mid, _confirmed) = self.accept(to, body).await?;
        Ok(mid)
    }

    /// As [`Self::send`], then waits until the server has confirmed it. After a time-out, and
    /// when the server does not let this client in, the message is still in the outbox and will
    /// be sent.
    pub async fn send_confirmed(
        &self,
        to: &Uri,
        body: &[u8],
        within: Duration,
    ) -> Result<Confirmed, ClientError> {
        let (_, confirmed) = self.accept(to, body).await?;
        let mut status = self.status.clone();
        tokio::select! {
            result = tokio::time::timeout(within, confirmed) => match result {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(ClientError::Closed),
                Err(_) => Err(ClientError::Timeout(within)),
            },
            refused = status.wait_for(|s| s.refused) => match refused {
                Ok(status) => Err(not_admitted(&status)),
                Err(_) => Err(ClientError::Closed),
            },
        }
    }

    /// The next event; `None` after the client was closed.
    pub async fn next_event(&self) -> Option<Event> {
        self.events.lock().await.recv().await
    }

    /// The application has dealt with an inbox entry: it is not handed out again, also not after
    /// a crash (synced before this returns).
    pub async fn done(&self, seq: u64) -> Result<(), ClientError> {
        let (reply, result) = oneshot::channel();
        self.submit(Command::Done { seq, reply }).await?;
        result.await.map_err(|_| ClientError::Closed)?
    }

    /// Where a user is and which keys it has; the keys are verified against the CAs that our
    /// own CMS named.
    pub async fn lookup(&self, uri: &Uri) -> Result<Found, ClientError> {
        let (reply, result) = oneshot::channel();
        self.submit(Command::Lookup { uri: uri.clone(), reply }).await?;
        result.await.map_err(|_| ClientError::Closed)?
    }

    /// Who this client knows, and the account of each.
    pub async fn contacts(&self) -> Result<Vec<(Uri, AccountId)>, ClientError> {
        let (reply, result) = oneshot::channel();
        self.submit(Command::Contacts { reply }).await?;
        result.await.map_err(|_| ClientError::Closed)?
    }

    /// A person has made sure that this user is of this account now: after
    /// [`ClientError::ContactChanged`] or `Event::ContactChanged`. Synced before this returns;
    /// messages that were withheld are handed out.
    pub async fn accept_contact(&self, uri: &Uri, account: &AccountId) -> Result<(), ClientError> {
        let (reply, result) = oneshot::channel();
        let (uri, account) = (uri.clone(), account.clone());
        self.submit(Command::Accept { uri, account, reply }).await?;
        result.await.map_err(|_| ClientError::Closed)?
    }

    /// The server's time.
    pub async fn time(&self) -> Result<TimeReply, ClientError> {
        self.request(Op::Time(TimeRequest {})).await
    }

    /// Fetches, verifies, stores and confirms every key update on offer that this client does not
    /// have; returns the months that are new.
    pub async fn update(&self) -> Result<Vec<Period>, ClientError> {
        let (reply, result) = oneshot::channel();
        self.submit(Command::Update { reply }).await?;
        result.await.map_err(|_| ClientError::Closed)?
    }

    /// Calls a user and returns when the call has ended. An unanswered call is not an error: the
    /// report says why it ended.
    pub async fn call(&self, to: &Uri, media: CallMedia) -> Result<CallReport, ClientError> {
        Box::pin(crate::call::place(self, to, media)).await
    }

    /// Answers a call that `Event::Incoming` announced and returns when it has ended.
    pub async fn answer(
        &self,
        session: SessionId,
        media: CallMedia,
    ) -> Result<CallReport, ClientError> {
        Box::pin(crate::call::answer(self, session, media)).await
    }

    /// Ends, declines or cancels a call.
    pub async fn hangup(
        &self,
        session: SessionId,
        reason: HangupReason,
    ) -> Result<(), ClientError> {
        self.end(Hangup { session, reason, detail: None }).await
    }

    pub(crate) async fn end(&self, hangup: Hangup) -> Result<(), ClientError> {
        let state = self.request::<CallState>(Op::Hangup(hangup)).await?;
        // The server tells everybody but the one who asked.
        self.submit(Command::State(Box::new(state))).await
    }

    /// Any request of the protocol, on the present connection.
    pub async fn request<A: DeserializeOwned>(&self, op: Op) -> Result<A, ClientError> {
        let name = op.name().as_str();
        let (reply, result) = oneshot::channel();
        self.submit(Command::Request { op: Box::new(op), reply }).await?;
        let within = self.options.request_timeout;
        let fields = match tokio::time::timeout(within, result).await {
            Ok(Ok(fields)) => fields?,
            Ok(Err(_)) => return Err(ClientError::Closed),
            Err(_) => return Err(ClientError::Timeout(within)),
        };
        fields.parse().map_err(|e| ClientError::Protocol(format!("reply to {name}: {e}")))
    }

    /// Says good-bye to the server, closes the connection and the journals.
    pub async fn close(mut self) {
        let (reply, closed) = oneshot::channel();
        if self.submit(Command::Close { reply }).await.is_ok() {
            let _ = closed.await;
        }
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }

    async fn accept(
        &self,
        to: &Uri,
        body: &[u8],
    ) -> Result<(MessageId, oneshot::Receiver<Result<Confirmed, ClientError>>), ClientError> {
        let (reply, accepted) = oneshot::channel();
        let (confirmed, confirmation) = oneshot::channel();
        let command = Command::Send { to: to.clone(), body: body.to_vec(), reply, confirmed };
        self.submit(command).await?;
        let mid = accepted.await.map_err(|_| ClientError::Closed)??;
        Ok((mid, confirmation))
    }

    pub(crate) async fn submit(&self, command: Command) -> Result<(), ClientError> {
        self.commands.send(command).await.map_err(|_| ClientError::Closed)
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }
}

fn not_admitted(status: &Status) -> ClientError {
    let why = status.trouble.clone().unwrap_or_default();
    ClientError::NotAdmitted { server: status.server.clone(), why }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests;
