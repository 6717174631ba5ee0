//! Connecting, registering, keeping alive and losing the connection.

use std::sync::Arc;
use std::time::Duration;

use crs_proto::codec::{Event as WireEvent, Fields, Op, ServerFrame, parse_server_frame};
use crs_proto::wire::life::{Attach, Attached, Bye, ClientInfo, DeniedReason, UnregisteredReason};
use crs_proto::wire::{ErrorBody, ErrorCode};
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

/// Silence after which the client asks whether the server is still there.
const PING_AFTER: Duration = Duration::from_secs(30);
/// Time for the answer.
const PONG_WITHIN: Duration = Duration::from_secs(10);
/// Time to write what waits.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

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
    pub(super) fn deadline(&self) -> Mono {
        self.pinged.map_or(self.heard.plus(PING_AFTER), |at| at.plus(PONG_WITHIN))
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
        for state in attached.sessions {
            self.call_state(state);
        }
        self.offered(attached.updates);
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
            DeniedReason::NodeDrain => self.lost_with(&error.text, None),
            DeniedReason::NotListed
            | DeniedReason::Blacklisted
            | DeniedReason::AccountNotLoaded
            | DeniedReason::BadRole
            | DeniedReason::TooMany
            | DeniedReason::Revoked
            | DeniedReason::NotAuthorised => {
                let word = serde_json::to_value(reason).unwrap_or_default();
                let why = format!("denied ({}): {}", word.as_str().unwrap_or(""), error.text);
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
        let word = serde_json::to_value(reason).unwrap_or_default();
        self.lost(&format!("unregistered: {}", word.as_str().unwrap_or("")));
        match reason {
            // Coming back by itself would only push the other device out, or be denied again.
            UnregisteredReason::Replaced
            | UnregisteredReason::Blacklisted
            | UnregisteredReason::AccountDeleted => self.connect_at = None,
            UnregisteredReason::Client
            | UnregisteredReason::Purged
            | UnregisteredReason::KeepaliveTimeout
            | UnregisteredReason::UpdateRequired
            | UnregisteredReason::NodeDrain
            | UnregisteredReason::Error => {}
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
        let Some(online) = &mut self.online else { return };
        if now < online.deadline() {
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
        if self.online.take().is_none() {
            return;
        }
        self.requests.clear();
        self.updates.disconnected();
        self.status.send_modify(|s| s.attached = false);
        self.mail_disconnected();
        self.retry_later(why, pause);
    }

    /// The server does not let this client in, and will not soon.
    fn refused(&mut self, why: &str) {
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
        self.connect_at = Some(now.plus(pause));
        self.status.send_modify(|s| {
            s.attached = false;
            s.refused = false;
            s.trouble = Some(why.to_owned());
        });
        let retry_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.tell(Event::Disconnected { why: why.to_owned(), retry_ms });
    }

    pub(super) async fn say_goodbye(&mut self) {
        if self.online.is_some() {
            self.requests.push(Op::Bye(Bye {}), Pending::Ignored);
            self.flush().await;
        }
        if let Some(mut online) = self.online.take() {
            let _ = tokio::time::timeout(Duration::from_secs(1), online.socket.close(None)).await;
        }
    }
}

async fn in_time<E>(write: impl Future<Output = Result<(), E>>) -> bool {
    matches!(tokio::time::timeout(WRITE_WITHIN, write).await, Ok(Ok(())))
}
