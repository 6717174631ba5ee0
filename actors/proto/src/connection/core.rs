//! The state machine of a connection.

use std::time::Duration;

use crs_types::{Mono, Timestamp};

use super::buckets::UserBuckets;
use super::close::Close;
use super::config::ConnectionConfig;
use super::order::{PostOrder, Turn, breaks_order};
use crate::codec::{Op, OpName, Refusal, Request, RequestId};
use crate::keepalive::{KeepAlive, KeepAliveDue};
use crate::rate::Bucket;
use crate::wire::life::{DeniedReason, Role};
use crate::wire::message::Post;
use crate::wire::{ErrorBody, ErrorCode};

/// Longest sleep: the wall clock may be set, so a certificate's end is looked at this often.
const WAKE_MAX: Duration = Duration::from_secs(3600);

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For intervals.
    pub mono: Mono,
    /// For the calendar.
    pub wall: Timestamp,
}

/// What the client certificate allows (design.md §4, *Months*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateTerms {
    /// Everything, until this time: end of the certificate's month plus the grace.
    Full {
        /// First moment at which only key updates are answered.
        until: Timestamp,
    },
    /// Only `upd.get`, `upd.confirm`, `time` and `bye`.
    UpdateOnly,
}

/// What the connection is registered as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Not at all.
    None,
    /// An attach is under way.
    Attaching,
    /// Registered.
    Attached(Role),
}

/// What to do with a frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// Run the request, reply, and call [`Connection::finished`].
    Run(Request),
    /// The request waits behind another post to the same receiver; nothing to do.
    Held,
    /// Send this error.
    Refuse {
        /// The request, when its id could be read.
        id: Option<RequestId>,
        /// The error.
        error: ErrorBody,
    },
    /// Send this error, then close.
    RefuseAndClose {
        /// The request, when its id could be read.
        id: Option<RequestId>,
        /// The error.
        error: ErrorBody,
        /// How to close.
        close: Close,
    },
}

/// How an admitted request ended, for [`Connection::finished`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Any op but the ones below.
    Done,
    /// An `attach` succeeded with this role.
    Attached(Role),
    /// An `attach` was denied or failed.
    NotAttached,
    /// A `detach`.
    Detached,
    /// A post to `to` ended; `error` is what was replied.
    Posted {
        /// Its receiver.
        to: crs_types::Uri,
        /// Its id.
        mid: crs_types::MessageId,
        /// What was replied.
        error: Option<ErrorCode>,
    },
}

/// What is due by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Send a WebSocket ping.
    Ping,
    /// The certificate's time is over: end the registration, send `unregistered` with reason
    /// `update-required`; the connection goes on for key updates.
    Unregister,
    /// Close.
    Close(Close),
}

/// The client does not read what it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowReader;

/// The core of one connection.
#[derive(Debug)]
pub struct Connection {
    terms: CertificateTerms,
    registration: Registration,
    keep_alive: KeepAlive,
    refusals: Bucket,
    events: u64,
    queued_bytes: u32,
    queued_frames: u16,
    in_flight: u8,
    posts: PostOrder,
}

impl Connection {
    /// A connection whose handshake has just ended. The shell sends `welcome` next.
    pub fn new(terms: CertificateTerms, now: Now) -> Self {
        Self {
            terms,
            registration: Registration::None,
            keep_alive: KeepAlive::new(now.mono),
            refusals: Bucket::default(),
            events: 0,
            queued_bytes: 0,
            queued_frames: 0,
            in_flight: 0,
            posts: PostOrder::default(),
        }
    }

    /// A text frame came, parsed by [`crate::codec::parse_request`]; `user` holds the rates.
    pub fn receive(
        &mut self,
        config: &ConnectionConfig,
        user: &mut UserBuckets,
        frame: Result<Request, Refusal>,
        now: Now,
    ) -> Admission {
        self.keep_alive.heard(now.mono);
        let request = match frame {
            Ok(request) => request,
            Err(Refusal { id, body }) => return self.refuse(config, id, body, now),
        };
        if let Err(error) = self.admit(config, user, &request.op, now) {
            return self.refuse_op(config, &request, error, now);
        }
        if let Op::Post(post) = &request.op {
            match self.posts.turn(&post.to, post.mid) {
                Turn::Run => self.posts.start(post.to.clone(), post.mid),
                Turn::Wait => {
                    self.in_flight += 1;
                    self.posts.hold(post.to.clone(), request);
                    return Admission::Held;
                }
                Turn::Broken(failed) => return self.refuse_broken(config, request.id, failed, now),
            }
        }
        if request.op.name() == OpName::Attach {
            self.registration = Registration::Attaching;
        }
        self.in_flight += 1;
        Admission::Run(request)
    }

    /// An admitted request was replied to. Returns what had waited for it, to be treated like
    /// what [`Connection::receive`] returns.
    pub fn finished(
        &mut self,
        config: &ConnectionConfig,
        outcome: Outcome,
        now: Now,
    ) -> Vec<Admission> {
        self.in_flight = self.in_flight.saturating_sub(1);
        match outcome {
            Outcome::Done => Vec::new(),
            Outcome::Attached(role) => {
                self.registration = Registration::Attached(role);
                Vec::new()
            }
            Outcome::NotAttached | Outcome::Detached => {
                self.registration = Registration::None;
                Vec::new()
            }
            Outcome::Posted { to, mid, error } => {
                let retryable = error.is_some_and(breaks_order);
                let too_many = self.posts.ended(&to, mid, retryable).is_err();
                let failed = retryable.then_some(mid);
                let mut released = self.release(config, &to, failed, now);
                self.posts.shrink();
                if too_many {
                    released.push(too_many_failed());
                }
                released
            }
        }
    }

    /// The registration ended from outside: replaced, purged, blacklisted, drained.
    pub fn unregistered(&mut self) {
        self.registration = Registration::None;
    }

    /// Any other sign of life: a pong, a ping.
    pub fn heard(&mut self, now: Now) {
        self.keep_alive.heard(now.mono);
    }

    /// The number of the next event.
    pub fn next_event(&mut self) -> u64 {
        self.events += 1;
        self.events
    }

    /// A frame is to be queued for sending. `Err`: cut the connection without a further word.
    pub fn queue(&mut self, config: &ConnectionConfig, bytes: usize) -> Result<(), SlowReader> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let total = self.queued_bytes.saturating_add(bytes);
        let full = self.queued_frames >= config.outbox.frames || total > config.outbox.bytes;
        if self.queued_frames > 0 && full {
            return Err(SlowReader);
        }
        self.queued_frames += 1;
        self.queued_bytes = total;
        Ok(())
    }

    /// More than half of what may wait to be sent does.
    pub fn is_behind(&self, config: &ConnectionConfig) -> bool {
        self.queued_frames > config.outbox.frames / 2 || self.queued_bytes > config.outbox.bytes / 2
    }

    /// A queued frame was written to the socket.
    pub fn sent(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.queued_frames = self.queued_frames.saturating_sub(1);
        self.queued_bytes = self.queued_bytes.saturating_sub(bytes);
    }

    /// What is due now; call until it returns `None`.
    pub fn poll(&mut self, config: &ConnectionConfig, now: Now) -> Option<Due> {
        if let CertificateTerms::Full { until } = self.terms
            && until <= now.wall
        {
            self.terms = CertificateTerms::UpdateOnly;
        }
        // An attach under way is looked at when it has finished.
        if self.outlived() {
            self.registration = Registration::None;
            return Some(Due::Unregister);
        }
        match self.keep_alive.poll(&config.keep_alive, now.mono)? {
            KeepAliveDue::Ping => Some(Due::Ping),
            KeepAliveDue::Timeout => Some(Due::Close(Close::KeepaliveTimeout)),
        }
    }

    /// How long the shell may sleep before it calls [`Connection::poll`].
    pub fn next_wake(&self, config: &ConnectionConfig, now: Now) -> Duration {
        let expiry = match self.terms {
            CertificateTerms::Full { until } => until.since(now.wall),
            CertificateTerms::UpdateOnly if self.outlived() => Duration::ZERO,
            CertificateTerms::UpdateOnly => WAKE_MAX,
        };
        let ping = self
            .keep_alive
            .deadline(&config.keep_alive)
            .map_or(WAKE_MAX, |deadline| deadline.since(now.mono));
        expiry.min(ping).min(WAKE_MAX)
    }

    /// What the connection is registered as.
    pub fn registration(&self) -> Registration {
        self.registration
    }

    /// What the certificate allows.
    pub fn terms(&self) -> CertificateTerms {
        self.terms
    }

    /// Requests under way.
    pub fn in_flight(&self) -> u8 {
        self.in_flight
    }

    fn outlived(&self) -> bool {
        self.terms == CertificateTerms::UpdateOnly
            && matches!(self.registration, Registration::Attached(_))
    }

    fn admit(
        &self,
        config: &ConnectionConfig,
        user: &mut UserBuckets,
        op: &Op,
        now: Now,
    ) -> Result<(), ErrorBody> {
        if self.in_flight >= config.in_flight {
            let text = format!("at most {} requests may be under way", config.in_flight);
            return Err(ErrorBody::new(ErrorCode::InFlight, text));
        }
        user.take(&config.rates, op, now.mono)?;
        self.allowed(op, now)
    }

    fn allowed(&self, op: &Op, now: Now) -> Result<(), ErrorBody> {
        match op {
            Op::Bye(_) | Op::Time(_) | Op::UpdateGet(_) | Op::UpdateConfirm(_) => return Ok(()),
            Op::Attach(_)
            | Op::Detach(_)
            | Op::Lookup(_)
            | Op::Invite(_)
            | Op::Ringing(_)
            | Op::Answer(_)
            | Op::Hangup(_)
            | Op::Post(_)
            | Op::Fetch(_)
            | Op::Ack(_)
            | Op::Alloc(_)
            | Op::Refresh(_)
            | Op::Free(_) => {}
        }
        // Whether there is an update for the user, the shell knows: it denies this attach.
        let asks_why = self.registration == Registration::None && op.name() == OpName::Attach;
        if !self.terms.full_at(now.wall) && !asks_why {
            return Err(ErrorBody::denied(
                DeniedReason::UpdateRequired,
                "the certificate's period is over: fetch and confirm the key update, then reconnect",
            ));
        }
        match (self.registration, op.name()) {
            (Registration::None | Registration::Attached(_), OpName::Attach) => Ok(()),
            (Registration::Attaching, OpName::Attach) => {
                Err(ErrorBody::new(ErrorCode::NotAllowed, "an attach is under way"))
            }
            (Registration::Attached(_), _) => Ok(()),
            (Registration::None | Registration::Attaching, name) => {
                let text = format!("`{}` needs a registered connection", name.as_str());
                Err(ErrorBody::new(ErrorCode::NotAttached, text))
            }
        }
    }

    fn refuse_op(
        &mut self,
        config: &ConnectionConfig,
        request: &Request,
        error: ErrorBody,
        now: Now,
    ) -> Admission {
        if let Op::Post(Post { to, mid, .. }) = &request.op
            && breaks_order(error.code)
            && self.posts.failed(to, *mid).is_err()
        {
            return too_many_failed();
        }
        self.refuse(config, Some(request.id), error, now)
    }

    fn refuse(
        &mut self,
        config: &ConnectionConfig,
        id: Option<RequestId>,
        error: ErrorBody,
        now: Now,
    ) -> Admission {
        match self.refusals.take(config.rates.refusals, now.mono) {
            Ok(()) => Admission::Refuse { id, error },
            Err(_) => Admission::RefuseAndClose { id, error, close: Close::Flood },
        }
    }

    fn refuse_broken(
        &mut self,
        config: &ConnectionConfig,
        id: RequestId,
        failed: crs_types::MessageId,
        now: Now,
    ) -> Admission {
        let text = format!("post {failed} to this receiver failed before: repeat it first");
        self.refuse(config, Some(id), ErrorBody::new(ErrorCode::OrderBroken, text), now)
    }

    /// Gives out the posts to `to` that may go now: the next one, or all when the one before
    /// them has failed.
    fn release(
        &mut self,
        config: &ConnectionConfig,
        to: &crs_types::Uri,
        failed: Option<crs_types::MessageId>,
        now: Now,
    ) -> Vec<Admission> {
        let mut released = Vec::new();
        while let Some(request) = self.posts.next(to) {
            let Op::Post(post) = &request.op else { continue };
            match failed {
                None => {
                    self.posts.start(post.to.clone(), post.mid);
                    released.push(Admission::Run(request));
                }
                Some(failed) => {
                    self.in_flight = self.in_flight.saturating_sub(1);
                    released.push(self.refuse_broken(config, request.id, failed, now));
                }
            }
        }
        released
    }
}

impl CertificateTerms {
    fn full_at(self, wall: Timestamp) -> bool {
        match self {
            Self::Full { until } => wall < until,
            Self::UpdateOnly => false,
        }
    }
}

fn too_many_failed() -> Admission {
    Admission::RefuseAndClose {
        id: None,
        error: ErrorBody::new(ErrorCode::OrderBroken, "posts to too many receivers have failed"),
        close: Close::TooManyFailed,
    }
}
