//! Connecting, registering, keeping alive and losing the connection.

use std::sync::Arc;
use std::time::Duration;

use crs_proto::codec::{Event as WireEvent, Fields, Op, ServerFrame, parse_server_frame};
use crs_proto::session::DetailWord;
use crs_proto::wire::call::{Hangup, HangupReason};
use crs_proto::wire::life::{Attach, Attached, Bye, ClientInfo, DeniedReason, UnregisteredReason};
use crs_proto::wire::{ErrorBody, ErrorCode, word};
use crs_types::{Mono, Period};
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::Driver;
use super::requests::Pending;
use crate::client::command::Reply;
use crate::core::backoff::Failure;
use crate::core::{inbox, outbox};
use crate::error::ClientError;
use crate::event::Event;
use crate::net::link::Socket;
use crate::net::{self, Link, tls};

/// Silence after which the client asks whether the server is still there, and time for the answer.
const PATIENCE: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(10)];
/// The same while a call is under way: a client that changes networks has 30 s to come back.
const PATIENCE_IN_CALL: [Duration; 2] = [Duration::from_secs(4), Duration::from_secs(4)];
/// Time to write what waits.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// Time for the server to close after this client said that it leaves.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);

/// A connection in use.
pub(super) struct Online {
    socket: Socket,
    pub(super) attached: bool,
    /// Month of the certificate in use.
    pub(super) period: Option<Period>,
    node: String,
    heard: Mono,
    pinged: Option<Mono>,
}

/// What came from the socket.
pub(super) enum Heard {
    Text(String),
    Other,
    Gone(String),
}

impl Online {
    /// When the client asks, or gives up waiting for the answer.
    pub(super) fn deadline(&self, in_call: bool) -> Mono {
        let [silence, answer] = if in_call { PATIENCE_IN_CALL } else { PATIENCE };
        self.pinged.map_or(self.heard.plus(silence), |at| at.plus(answer))
    }
}

/// The next frame; pending for ever without a connection. Cancel-safe.
pub(super) async fn hear(online: &mut Option<Online>) -> Heard {
    let Some(online) = online else { return std::future::pending().await };
    match online.socket.next().await {
        Some(Ok(Message::Text(text))) => Heard::Text(text.as_str().to_owned()),
        Some(Ok(Message::Close(Some(frame)))) => {
            Heard::Gone(format!("closed by the server: {} {}", frame.code, frame.reason))
        }
        Some(Ok(Message::Close(None))) => Heard::Gone("closed by the server".to_owned()),
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_))) => {
            Heard::Other
        }
        Some(Err(error)) => Heard::Gone(error.to_string()),
        None => Heard::Gone("the connection ended".to_owned()),
    }
}

impl Driver {
    pub(super) fn start_connecting(&mut self) {
        self.connect_at = None;
        match self.attempt() {
            Ok(connecting) => self.connecting = Some(connecting),
            Err(error) => self.connected(Err(error)),
        }
    }

    fn attempt(&mut self) -> Result<super::Connecting, ClientError> {
        let identity = self.profile.identity();
        let servers = self.options.servers.as_ref().unwrap_or(&identity.servers);
        if servers.is_empty() {
            let why = "no server is known: give --server HOST:PORT".to_owned();
            return Err(ClientError::Connect { server: "(none)".to_owned(), why });
        }
        let server = servers[self.attempts % servers.len()].clone();
        self.attempts += 1;
        let keys = identity.current_keys(self.options.clock.now()).ok_or_else(|| {
            ClientError::Connect { server: server.clone(), why: "no keys: enrol again".to_owned() }
        })?;
        let config =
            Arc::new(tls::client_config(&identity.trust, keys, self.options.clock.clone())?);
        let name = tls::server_name(&identity.trust, &server)?;
        let limit = self.options.connect_timeout;
        self.status.send_modify(|s| s.server.clone_from(&server));
        Ok(Box::pin(async move { net::connect(&server, name, config, limit).await }))
    }

    pub(super) fn connected(&mut self, result: Result<Link, ClientError>) {
        match result {
            Ok(link) => self.welcome(link),
            Err(ClientError::NotAdmitted { why, .. }) => self.refused(&why),
            Err(ClientError::Connect { why, .. }) => self.retry_later(&why, None),
            Err(error) => self.retry_later(&error.to_string(), None),
        }
    }

    fn welcome(&mut self, link: Link) {
        let now = self.options.clock.mono();
        let period =
            self.profile.identity().current_keys(self.options.clock.now()).map(|keys| keys.period);
        let Link { socket, welcome } = link;
        self.requests.clear();
        self.status.send_modify(|s| {
            s.connections += 1;
            s.node.clone_from(&welcome.node);
        });
        self.online = Some(Online {
            socket,
            attached: false,
            period,
            node: welcome.node,
            heard: now,
            pinged: None,
        });
        if welcome.update_only {
            self.catch_up(welcome.time);
            return;
        }
        let identity = self.profile.identity();
        let attach = Attach {
            role: self.options.role,
            device: identity.device.clone(),
            client_info: Some(ClientInfo {
                version: concat!("crs-client ", env!("CARGO_PKG_VERSION")).to_owned(),
                os: std::env::consts::OS.to_owned(),
                os_version: String::new(),
                time: Some(self.options.clock.now().as_millis()),
                scan_time: None,
            }),
            resume: self.calls.sessions(),
        };
        self.requests.push(Op::Attach(attach), Pending::Attach);
    }

    pub(super) fn attach_answered(&mut self, result: Result<Attached, ErrorBody>) {
        match result {
            Ok(attached) => self.attached(attached),
            Err(error) if error.code == ErrorCode::Denied => self.denied(&error),
            Err(error) => {
                let pause = error.retry_ms.map(Duration::from_millis);
                self.lost_with(&format!("attach: {}", error.text), pause);
            }
        }
    }

    fn attached(&mut self, attached: Attached) {
        let Some(online) = &mut self.online else { return };
        online.attached = true;
        let node = online.node.clone();
        self.backoff.succeeded(self.options.clock.mono());
        self.status.send_modify(|s| {
            s.attached = true;
            s.refused = false;
            s.trouble = None;
        });
        self.tell(Event::Attached { node, waiting: attached.waiting });
        // Updates first: the keys of whoever calls may be among them.
        self.offered(attached.updates);
        for state in attached.sessions {
            self.call_state(state);
        }
        if !self.updates.under_way() {
            self.mail_attached();
        }
    }

    /// Messages flow once the keys that they may need are here.
    pub(super) fn mail_attached(&mut self) {
        if self.online.as_ref().is_some_and(|online| online.attached) {
            self.inbox_input(inbox::Input::Attached);
            self.outbox_input(outbox::Input::Attached);
        }
    }

    fn denied(&mut self, error: &ErrorBody) {
        let reason = error.reason.unwrap_or(DeniedReason::NotAuthorised);
        self.tell(Event::Denied { reason, text: error.text.clone() });
        match reason {
            DeniedReason::UpdateRequired => {
                let now = self.options.clock.now();
                self.status.send_modify(|s| s.trouble = Some("key update required".to_owned()));
                self.catch_up(now);
            }
            DeniedReason::NodeDrain => {
                self.lost_with(&format!("denied (node-drain): {}", error.text), None);
            }
            DeniedReason::NotListed
            | DeniedReason::Blacklisted
            | DeniedReason::AccountNotLoaded
            | DeniedReason::TooMany
            | DeniedReason::Revoked
            | DeniedReason::NotAuthorised => {
                let why = format!("denied ({}): {}", word(&reason), error.text);
                self.refused(&why);
            }
        }
    }

    pub(super) async fn heard(&mut self, heard: Heard) {
        if let Some(online) = &mut self.online {
            online.heard = self.options.clock.mono();
            online.pinged = None;
        }
        match heard {
            Heard::Other => {}
            Heard::Gone(why) => self.lost(&why),
            Heard::Text(text) => match parse_server_frame(&text) {
                Ok(frame) => self.frame(frame).await,
                Err(error) => self.lost(&error.to_string()),
            },
        }
    }

    async fn frame(&mut self, frame: ServerFrame) {
        match frame {
            ServerFrame::Reply { re: Some(re), result } => {
                if let Some(pending) = self.requests.take(re) {
                    self.answered(pending, result).await;
                }
            }
            ServerFrame::Reply { re: None, result: Err(error) } => {
                self.lost(&format!("the server could not read a request: {}", error.text));
            }
            ServerFrame::Reply { re: None, result: Ok(_) } | ServerFrame::UnknownEvent { .. } => {}
            ServerFrame::Event { event, .. } => match event {
                WireEvent::Welcome(_) | WireEvent::MessageAcked(_) => {}
                WireEvent::Unregistered(event) => self.unregistered(event.reason),
                WireEvent::CallState(state) => self.call_state(*state),
                WireEvent::MessageNew(_) => self.inbox_input(inbox::Input::News),
                WireEvent::UpdateOffer(offers) => self.offered(offers.updates),
            },
        }
    }

    async fn answered(&mut self, pending: Pending, result: Result<Fields, ErrorBody>) {
        match pending {
            Pending::Attach => match result.map(|fields| fields.parse()) {
                Ok(Ok(attached)) => self.attach_answered(Ok(attached)),
                Ok(Err(error)) => self.lost(&format!("attach: {error}")),
                Err(error) => self.attach_answered(Err(error)),
            },
            Pending::Fetch => self.fetched(result),
            Pending::Ack => self.acked(result),
            Pending::Post(mid) => self.posted(mid, result),
            Pending::Lookup(uri) => self.looked_up(&uri, result),
            Pending::UpdateGet(period) => self.update_got(period, result).await,
            Pending::UpdateConfirm(period) => self.update_confirmed(period, result.is_ok()),
            Pending::Ignored => {}
            Pending::Application(reply) => {
                let _ = reply.send(result.map_err(ClientError::Server));
            }
        }
    }

    pub(super) fn application_request(&mut self, op: Op, reply: Reply<Fields>) {
        if self.online.as_ref().is_none_or(|online| !online.attached) {
            let _ = reply.send(Err(ClientError::Disconnected));
        } else {
            self.requests.push(op, Pending::Application(reply));
        }
    }

    fn unregistered(&mut self, reason: UnregisteredReason) {
        self.tell(Event::Unregistered { reason });
        let why = format!("unregistered: {}", word(&reason));
        match reason {
            // Coming back by itself would only push the other device out.
            UnregisteredReason::Replaced => {
                self.end_calls(HangupReason::ClientLost);
                self.stopped(&why);
                self.status.send_modify(|s| s.replaced = true);
            }
            // As after a denial: slowly, so that nobody has to start the client anew when the
            // operator lets the user in again.
            UnregisteredReason::Blacklisted
            | UnregisteredReason::AccountDeleted
            | UnregisteredReason::NotListed => {
                self.refused(&why);
            }
            UnregisteredReason::Client
            | UnregisteredReason::Purged
            | UnregisteredReason::KeepaliveTimeout
            | UnregisteredReason::UpdateRequired
            | UnregisteredReason::NodeDrain
            | UnregisteredReason::Error => self.lost(&why),
        }
    }

    /// Writes everything that waits.
    pub(super) async fn flush(&mut self) {
        let now = self.options.clock.mono();
        let Some(online) = &mut self.online else { return };
        let mut written = false;
        while let Some(frame) = self.requests.next_frame(now) {
            written = true;
            let send = online.socket.feed(Message::text(frame));
            if !in_time(send).await {
                self.lost("the server does not read");
                return;
            }
        }
        if written && !in_time(online.socket.flush()).await {
            self.lost("the server does not read");
        }
    }

    pub(super) fn keep_alive(&mut self, now: Mono) {
        let in_call = self.calls.any();
        let Some(online) = &mut self.online else { return };
        if now < online.deadline(in_call) {
            return;
        }
        if online.pinged.is_some() {
            self.lost("no answer to a ping");
            return;
        }
        online.pinged = Some(now);
        let ping = online.socket.send(Message::Ping(Bytes::new()));
        // A ping is a few bytes: it either fits the socket's buffer now or the link is dead.
        if futures_util::FutureExt::now_or_never(ping).is_none_or(|sent| sent.is_err()) {
            self.lost("the server does not read");
        }
    }

    /// A new month has begun and its keys are here: connect with the new certificate.
    pub(super) fn month_change(&mut self) {
        let keys = self.profile.identity().current_keys(self.options.clock.now());
        let newest = keys.map(|keys| keys.period);
        if self.online.as_ref().is_some_and(|online| online.attached && online.period != newest) {
            self.lost_with("a new month has begun", Some(Duration::ZERO));
        }
    }

    pub(super) fn lost(&mut self, why: &str) {
        self.lost_with(why, None);
    }

    /// Drops the connection and connects again after `pause`, or after a drawn one.
    pub(super) fn lost_with(&mut self, why: &str, pause: Option<Duration>) {
        if self.drop_connection() {
            self.retry_later(why, pause);
        }
    }

    /// Drops the connection for good.
    fn stopped(&mut self, why: &str) {
        if self.drop_connection() {
            self.offline(why, None);
        }
    }

    /// True when there was one.
    fn drop_connection(&mut self) -> bool {
        if self.online.take().is_none() {
            return false;
        }
        self.requests.clear();
        self.updates.disconnected();
        // The server names the calls that ring when the client is back.
        drop(self.calls.take_unsure());
        self.mail_disconnected();
        true
    }

    /// The server does not let this client in, and will not soon: not while it keeps a call for a
    /// client that was lost.
    fn refused(&mut self, why: &str) {
        self.end_calls(HangupReason::NotAllowed);
        let now = self.options.clock.mono();
        let pause = self.backoff.failed(Failure::Refused, now, &mut self.rng);
        if self.online.is_some() {
            self.lost_with(why, Some(pause));
        } else {
            self.retry_later(why, Some(pause));
        }
        self.status.send_modify(|s| s.refused = true);
    }

    fn retry_later(&mut self, why: &str, pause: Option<Duration>) {
        let now = self.options.clock.mono();
        let pause = pause.unwrap_or_else(|| self.backoff.failed(Failure::Lost, now, &mut self.rng));
        self.offline(why, Some(now.plus(pause)));
    }

    /// There is no connection before `connect_at`, or none any more.
    fn offline(&mut self, why: &str, connect_at: Option<Mono>) {
        self.connect_at = connect_at;
        self.status.send_modify(|s| {
            s.attached = false;
            s.refused = false;
            s.trouble = Some(why.to_owned());
        });
        let now = self.options.clock.mono();
        let retry_ms =
            connect_at.map(|at| u64::try_from(at.since(now).as_millis()).unwrap_or(u64::MAX));
        self.tell(Event::Disconnected { why: why.to_owned(), retry_ms });
    }

    pub(super) async fn say_goodbye(&mut self) {
        if self.online.is_some() {
            // The other sides need not wait until the server takes this client for lost.
            for session in self.calls.watched() {
                let (reason, detail) = (HangupReason::Normal, DetailWord::AppClosed);
                let detail = Some(detail.as_str().to_owned());
                let hangup = Op::Hangup(Hangup { session, reason, detail });
                self.requests.push(hangup, Pending::Ignored);
            }
            self.requests.push(Op::Bye(Bye {}), Pending::Ignored);
            self.flush().await;
        }
        if let Some(mut online) = self.online.take() {
            let _ = tokio::time::timeout(GOODBYE_WITHIN, closed(&mut online.socket)).await;
        }
    }
}

/// Closes and waits until the server closed, too: a socket that goes while replies wait in it unread
/// is reset, and a reset may overtake what was said last.
async fn closed(socket: &mut Socket) {
    if socket.close(None).await.is_ok() {
        while let Some(Ok(_)) = socket.next().await {}
    }
}

async fn in_time<E>(write: impl Future<Output = Result<(), E>>) -> bool {
    matches!(tokio::time::timeout(WRITE_WITHIN, write).await, Ok(Ok(())))
}
