//! The relay's side of a leg: which client address its media goes to.

use std::time::Duration;

use crs_types::{ClientAddr, Mono, Rng};

use super::credentials::LegCredentials;
use super::stun::{Class, Integrity, Message, StunPacket, TransactionId};
use crate::rate::{Bucket, Rate};

/// A bound address is checked this often, ± 20 % (RFC 7675 §5.1).
pub const CONSENT_INTERVAL: Duration = Duration::from_secs(5);
/// An address that has not answered for this long is dropped (RFC 7675 §5.1).
pub const CONSENT_LIFETIME: Duration = Duration::from_secs(30);
/// Checks to new addresses of one leg.
pub const CHECK_RATE: Rate = Rate { per_minute: 600, burst: 10 };
/// Answers to the bound address of one leg.
pub const ANSWER_RATE: Rate = Rate { per_minute: 600, burst: 20 };
/// New addresses of one leg under check at once.
pub const PENDING_MAX: usize = 4;
/// An unanswered check keeps its place this long when all places are taken (RFC 8489's first
/// retransmission).
const PENDING_SAFE: Duration = Duration::from_millis(500);
/// An answer to a check is accepted this long.
const CHECK_LIFETIME: Duration = Duration::from_secs(5);

/// Binding of one leg. No state is kept for packets that are not authenticated.
#[derive(Debug)]
pub struct LegBinding {
    hint: u32,
    credentials: LegCredentials,
    bound: Option<Bound>,
    pending: [Option<Pending>; PENDING_MAX],
    checks: Bucket,
    answers: Bucket,
}

/// The address that media goes to.
#[derive(Debug, Clone, Copy)]
struct Bound {
    addr: ClientAddr,
    integrity: Integrity,
    proved: Mono,
    next_check: Mono,
    check: Option<TransactionId>,
}

/// An address that has sent an authenticated request and must now prove that it receives.
#[derive(Debug, Clone, Copy)]
struct Pending {
    addr: ClientAddr,
    request: TransactionId,
    check: TransactionId,
    integrity: Integrity,
    fingerprint: bool,
    asked: Mono,
}

/// What to do after a packet or a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegEffects {
    /// Send this packet there.
    pub send: Option<(ClientAddr, StunPacket)>,
    /// The leg's address changed: tell all threads.
    pub change: Option<Change>,
    /// For counters and trace.
    pub verdict: Verdict,
}

/// A change of the leg's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Bound for the first time, or again after it was lost.
    Bound(ClientAddr),
    /// Moved by its client; the old address gets nothing more.
    Moved {
        /// The address until now.
        from: ClientAddr,
        /// The address from now on.
        to: ClientAddr,
    },
    /// No consent any more: nothing is sent until the client binds again.
    Lost(ClientAddr),
}

/// What a packet was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A request from the bound address, answered.
    Answered,
    /// A request from a new address, which is being checked.
    Checking,
    /// The answer to a check of a new address, which is bound now.
    Proved,
    /// Consent renewed.
    Consent,
    /// Nothing was due, or a consent check was sent, or the address was lost.
    Timer,
    /// Dropped in silence.
    Ignored(Ignored),
}

/// Why a packet was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// Not a Binding request or success response, or damaged.
    NotStun,
    /// Wrong or missing credentials.
    Unauthenticated,
    /// A comprehension-required attribute that is not known here.
    UnknownAttribute,
    /// Our own check, sent back to us.
    Reflected,
    /// A request that was seen from another address a moment ago: a replay.
    Replayed,
    /// The address belongs to another leg.
    Taken,
    /// Too many requests for this leg.
    RateLimited,
    /// An answer to no check of ours, or from another address than was asked.
    Unexpected,
}

impl LegBinding {
    /// An unbound leg. `hint` comes back in [`super::Peek::Response`], so that the relay finds
    /// the leg of a response.
    pub fn new(hint: u32, credentials: LegCredentials) -> Self {
        Self {
            hint,
            credentials,
            bound: None,
            pending: [None; PENDING_MAX],
            checks: Bucket::default(),
            answers: Bucket::default(),
        }
    }

    /// A STUN packet from `src` that [`super::peek`] found to be for this leg. `taken`: `src` is
    /// the bound address of another leg of this relay.
    pub fn handle(
        &mut self,
        packet: &[u8],
        src: ClientAddr,
        taken: bool,
        now: Mono,
        rng: &mut dyn Rng,
    ) -> LegEffects {
        let Some(message) = Message::parse(packet) else { return ignored(Ignored::NotStun) };
        let handled = match message.class {
            Class::Request => self.on_request(&message, src, taken, now, rng),
            Class::Success => self.on_success(&message, src, taken, now, rng),
        };
        handled.unwrap_or_else(ignored)
    }

    /// What is due: a consent check, or the end of the binding.
    pub fn poll(&mut self, now: Mono, rng: &mut dyn Rng) -> LegEffects {
        let mut effects = LegEffects { send: None, change: None, verdict: Verdict::Timer };
        let hint = self.hint;
        let Some(bound) = &mut self.bound else { return effects };
        if now.since(bound.proved) >= CONSENT_LIFETIME {
            effects.change = Some(Change::Lost(bound.addr));
            self.bound = None;
        } else if bound.next_check <= now {
            let id = check_id(hint, rng);
            bound.check = Some(id);
            bound.next_check = now.plus(jittered(rng));
            let check = StunPacket::request(id, &self.credentials, bound.integrity, true);
            effects.send = Some((bound.addr, check));
        }
        effects
    }

    /// When to call [`LegBinding::poll`].
    pub fn next_deadline(&self) -> Option<Mono> {
        let bound = self.bound.as_ref()?;
        Some(bound.next_check.min(bound.proved.plus(CONSENT_LIFETIME)))
    }

    /// The address that has proved itself.
    pub fn address(&self) -> Option<ClientAddr> {
        self.bound.map(|bound| bound.addr)
    }

    /// The leg's credentials.
    pub fn credentials(&self) -> &LegCredentials {
        &self.credentials
    }

    fn on_request(
        &mut self,
        message: &Message<'_>,
        src: ClientAddr,
        taken: bool,
        now: Mono,
        rng: &mut dyn Rng,
    ) -> Result<LegEffects, Ignored> {
        if message.username != Some(self.credentials.ufrag()) {
            return Err(Ignored::Unauthenticated);
        }
        if self.is_own_check(message.id) {
            return Err(Ignored::Reflected);
        }
        let integrity = message.authenticate(&self.credentials).ok_or(Ignored::Unauthenticated)?;
        if message.unknown_required {
            return Err(Ignored::UnknownAttribute);
        }
        if taken {
            return Err(Ignored::Taken);
        }
        if self.address() == Some(src) {
            self.answers.take(ANSWER_RATE, now).map_err(|_| Ignored::RateLimited)?;
            let answer = StunPacket::success(
                message.id,
                src,
                &self.credentials,
                integrity,
                message.fingerprint,
            );
            return Ok(sent(src, answer, Verdict::Answered));
        }
        let check = self.start_check(message, src, integrity, now, rng)?;
        // As long as the request at most: same attributes.
        let packet = StunPacket::request(check, &self.credentials, integrity, message.fingerprint);
        Ok(sent(src, packet, Verdict::Checking))
    }

    /// Takes a place for `src` and returns the id of the check to send.
    fn start_check(
        &mut self,
        message: &Message<'_>,
        src: ClientAddr,
        integrity: Integrity,
        now: Mono,
        rng: &mut dyn Rng,
    ) -> Result<TransactionId, Ignored> {
        for place in &mut self.pending {
            if place.is_some_and(|pending| now.since(pending.asked) >= CHECK_LIFETIME) {
                *place = None;
            }
        }
        let seen = self.pending.iter().flatten().find(|pending| pending.request == message.id);
        if seen.is_some_and(|pending| pending.addr != src) {
            return Err(Ignored::Replayed);
        }
        let at = self.place_for(src, now).ok_or(Ignored::RateLimited)?;
        self.checks.take(CHECK_RATE, now).map_err(|_| Ignored::RateLimited)?;
        let known = self.pending[at].filter(|pending| pending.addr == src);
        let check = known.map_or_else(|| check_id(self.hint, rng), |pending| pending.check);
        self.pending[at] = Some(Pending {
            addr: src,
            request: message.id,
            check,
            integrity,
            fingerprint: message.fingerprint,
            asked: now,
        });
        Ok(check)
    }

    /// The place of `src`, a free one, or the oldest that has had its chance.
    fn place_for(&self, src: ClientAddr, now: Mono) -> Option<usize> {
        let own = self.pending.iter().position(|p| p.is_some_and(|p| p.addr == src));
        let free = || self.pending.iter().position(Option::is_none);
        let oldest = || {
            let places = self.pending.iter().enumerate();
            places
                .filter_map(|(at, place)| place.map(|pending| (pending.asked, at)))
                .filter(|(asked, _)| now.since(*asked) >= PENDING_SAFE)
                .min()
                .map(|(_, at)| at)
        };
        own.or_else(free).or_else(oldest)
    }

    fn on_success(
        &mut self,
        message: &Message<'_>,
        src: ClientAddr,
        taken: bool,
        now: Mono,
        rng: &mut dyn Rng,
    ) -> Result<LegEffects, Ignored> {
        if let Some(bound) = &mut self.bound
            && bound.addr == src
            && bound.check == Some(message.id)
        {
            authenticated_as(message, bound.integrity, &self.credentials)?;
            bound.check = None;
            bound.proved = now;
            return Ok(LegEffects { send: None, change: None, verdict: Verdict::Consent });
        }
        let pending = self
            .pending
            .iter()
            .flatten()
            .find(|pending| pending.addr == src && pending.check == message.id)
            .filter(|pending| now.since(pending.asked) < CHECK_LIFETIME)
            .copied()
            .ok_or(Ignored::Unexpected)?;
        authenticated_as(message, pending.integrity, &self.credentials)?;
        if taken {
            return Err(Ignored::Taken);
        }
        Ok(self.bind(&pending, now, rng))
    }

    fn bind(&mut self, pending: &Pending, now: Mono, rng: &mut dyn Rng) -> LegEffects {
        let Pending { addr, request, integrity, fingerprint, .. } = *pending;
        let change = match self.address() {
            Some(from) => Change::Moved { from, to: addr },
            None => Change::Bound(addr),
        };
        let next_check = now.plus(jittered(rng));
        self.bound = Some(Bound { addr, integrity, proved: now, next_check, check: None });
        self.pending = [None; PENDING_MAX];
        let answer = StunPacket::success(request, addr, &self.credentials, integrity, fingerprint);
        LegEffects { send: Some((addr, answer)), change: Some(change), verdict: Verdict::Proved }
    }

    fn is_own_check(&self, id: TransactionId) -> bool {
        self.bound.is_some_and(|bound| bound.check == Some(id))
            || self.pending.iter().flatten().any(|pending| pending.check == id)
    }
}

/// An answer must not be weaker than what it answers (RFC 8489 section 9.1.4: no bidding down).
fn authenticated_as(
    message: &Message<'_>,
    asked: Integrity,
    credentials: &LegCredentials,
) -> Result<(), Ignored> {
    match (asked, message.authenticate(credentials)) {
        (_, Some(Integrity::Sha256)) | (Integrity::Sha1, Some(Integrity::Sha1)) => Ok(()),
        (Integrity::Sha256, Some(Integrity::Sha1)) | (_, None) => Err(Ignored::Unauthenticated),
    }
}

/// Hint and 64 random bits; the response is authenticated besides.
fn check_id(hint: u32, rng: &mut dyn Rng) -> TransactionId {
    let mut id = [0; 12];
    rng.fill(&mut id[4..]);
    id[..4].copy_from_slice(&hint.to_be_bytes());
    TransactionId(id)
}

fn jittered(rng: &mut dyn Rng) -> Duration {
    let mut byte = [0u8];
    rng.fill(&mut byte);
    CONSENT_INTERVAL.mul_f32(0.8 + 0.4 * f32::from(byte[0]) / 255.0)
}

fn sent(to: ClientAddr, packet: StunPacket, verdict: Verdict) -> LegEffects {
    LegEffects { send: Some((to, packet)), change: None, verdict }
}

fn ignored(why: Ignored) -> LegEffects {
    LegEffects { send: None, change: None, verdict: Verdict::Ignored(why) }
}
