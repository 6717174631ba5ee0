//! A call from end to end: offer and answer, relay leg, media, hangup.

mod local;

use std::path::PathBuf;
use std::time::Duration;

use crs_keys::call as keys;
use crs_keys::srtp::Profile;
use crs_proto::codec::Op;
use crs_proto::wire::call::{Answer, CallState, Hangup, HangupReason, Invite, SessionState, Who};
use crs_proto::wire::relay::{Alloc, Free, Leg as WireLeg, RelayKind};
use crs_proto::wire::{Bytes64, ErrorCode};
use crs_types::{Mono, OsRng, Rng, SessionId, Uri};
use tokio::sync::{mpsc, oneshot};

use crate::client::Client;
use crate::client::command::Command;
use crate::crypto::{OfferRefused, crypto};
use crate::driver::RingingCall;
use crate::error::ClientError;
use crate::identity::Identity;
use crate::media::MediaStats;
use crate::media::description::{Description, DescriptionError};
use crate::media::leg::Leg;
use crate::media::stream::{self, Outcome};
use crate::options::{CallMedia, CallReport};
use local::{Local, NO_FORMAT};

/// States of one call that may wait.
pub(crate) const STATES_MAX: usize = 32;
/// The server ends an unanswered call sooner; this is for a server that is gone.
const ANSWER_WITHIN: Duration = Duration::from_secs(150);
/// A call that is over has said so by now, or the server has forgotten it.
const ENDED_WITHIN: Duration = Duration::from_secs(2);
/// Pause before a call request is repeated after a lost connection (it is idempotent).
const REPEAT_AFTER: Duration = Duration::from_millis(300);
/// As often as fits the time in which the server keeps a call for a lost party (30 s).
const REPEATS: usize = 100;

/// Places a call.
pub(crate) async fn place(
    client: &Client,
    to: &Uri,
    media: CallMedia,
) -> Result<CallReport, ClientError> {
    let local = Local::new(&media, |_| true).await?;
    let found = client.lookup(to).await?;
    let identity = identity(client).await?;
    let clock = client.options().clock.clone();
    let now = clock.now();
    let mut random = [0; 10];
    OsRng.fill(&mut random);
    let session = SessionId::from_parts(now, random);
    let route = keys::CallRoute {
        session,
        from_account: identity.account.clone(),
        from: identity.uri.clone(),
        to: to.clone(),
    };
    let own = identity.signing_keys(now)?;
    let description = local.description().encode();
    let offer = keys::offer(route, &description, &Profile::ALL, &own, &mut OsRng, now)
        .map_err(crypto("the offer"))?;
    let mut call = Call::watch(client, session, to.clone(), true).await?;
    let invite = Invite {
        session,
        to: to.clone(),
        offer: Bytes64(offer.offer.clone()),
        media: RelayKind::Rtp,
    };
    let started = clock.mono();
    let state = match call.step(Op::Invite(invite)).await? {
        Ok(state) => state,
        Err(ended) => return call.finish_unanswered(&ended, started).await,
    };
    let mut leg = match call.leg().await? {
        Ok(leg) => leg,
        Err(ended) => return call.finish_unanswered(&ended, started).await,
    };
    let talk = match call.wait_for_talk(state).await? {
        Ok(talk) => talk,
        Err(ended) => return call.finish_unanswered(&ended, started).await,
    };
    let setup = clock.mono().since(started);
    let answer = talk.answer.unwrap_or_default();
    let trust = identity.keys_trust();
    let opened = offer.open_answer(&answer.0, &found.account, &trust, clock.now());
    let answered = match opened {
        Ok(answered) => answered,
        Err(error) => return Err(call.refuse(error.into()).await),
    };
    let remote = match Description::parse(&answered.media) {
        Ok(remote) if remote.takes(local.codec) && local.takes(&remote) => remote,
        Ok(_) => return Err(call.incompatible(NO_FORMAT.to_owned()).await),
        Err(error) => return Err(call.incompatible(error.to_string()).await),
    };
    let keys = [answered.keys.caller, answered.keys.callee];
    let plan = local.plan(true, remote, keys, media.duration).await?;
    let outcome = stream::run(&mut leg, plan, &mut call.states, &*clock).await?;
    call.finish(outcome, setup, media.record).await
}

/// Answers a call that rings here.
pub(crate) async fn answer(
    client: &Client,
    session: SessionId,
    media: CallMedia,
) -> Result<CallReport, ClientError> {
    let (reply, ringing) = oneshot::channel();
    client.submit(Command::Ringing { session, reply }).await?;
    let RingingCall { from, offer } = ringing.await.map_err(|_| ClientError::Closed)??;
    let identity = identity(client).await?;
    let clock = client.options().clock.clone();
    let now = clock.now();
    let mut call = Call::watch(client, session, from, false).await?;
    let (local, remote) = match prepare(&media, &offer.media).await {
        Ok(prepared) => prepared,
        Err(ClientError::Media(why)) => return Err(call.incompatible(why).await),
        Err(error) => return Err(call.abandon(HangupReason::Error, error.to_string()).await),
    };
    let own = identity.signing_keys(now)?;
    let description = local.description().encode();
    let (answer, call_keys) =
        keys::answer(&offer, &description, &Profile::ALL, &own, &mut OsRng, now)
            .map_err(crypto("the answer"))?;
    // The leg is bound before the answer, so that the caller's first packets find it.
    let started = clock.mono();
    let mut leg = match call.leg().await? {
        Ok(leg) => leg,
        Err(ended) => return call.finish_unanswered(&ended, started).await,
    };
    let answer = Answer { session, answer: Bytes64(answer) };
    if let Err(ended) = call.step(Op::Answer(answer)).await? {
        return call.finish_unanswered(&ended, started).await;
    }
    let keys = [call_keys.callee, call_keys.caller];
    let plan = local.plan(false, remote, keys, media.duration).await?;
    let setup = clock.mono().since(started);
    let outcome = stream::run(&mut leg, plan, &mut call.states, &*clock).await?;
    call.finish(outcome, setup, media.record).await
}

/// What the called side plays, once it knows what the caller takes and sends.
async fn prepare(media: &CallMedia, offered: &[u8]) -> Result<(Local, Description), ClientError> {
    let unusable = |e: DescriptionError| ClientError::Media(e.to_string());
    let remote = Description::parse(offered).map_err(unusable)?;
    remote.codec().map_err(unusable)?;
    let local = Local::new(media, |codec| remote.takes(codec)).await?;
    if local.takes(&remote) {
        Ok((local, remote))
    } else {
        Err(ClientError::Media(NO_FORMAT.to_owned()))
    }
}

async fn identity(client: &Client) -> Result<Identity, ClientError> {
    let (reply, result) = oneshot::channel();
    client.submit(Command::Identity { reply }).await?;
    result.await.map_err(|_| ClientError::Closed)?
}

fn over(state: &CallState) -> bool {
    match state.state {
        SessionState::Hangup
        | SessionState::ResponderNotFound
        | SessionState::ResponderNotConnected => true,
        SessionState::Invite | SessionState::Ringing | SessionState::Talk => false,
    }
}

/// A session that this client takes part in.
struct Call<'a> {
    client: &'a Client,
    session: SessionId,
    peer: Uri,
    states: mpsc::Receiver<CallState>,
    caller: bool,
    leg: Option<u64>,
    /// What came while the leg was bound; the answer may be so early.
    early: Option<CallState>,
}

impl<'a> Call<'a> {
    async fn watch(
        client: &'a Client,
        session: SessionId,
        peer: Uri,
        caller: bool,
    ) -> Result<Self, ClientError> {
        let (sender, states) = mpsc::channel(STATES_MAX);
        client.submit(Command::Watch { session, states: sender }).await?;
        Ok(Self { client, session, peer, states, caller, leg: None, early: None })
    }

    /// A call request; repeated while the connection is being made again.
    async fn repeat<A: serde::de::DeserializeOwned>(&self, op: Op) -> Result<A, ClientError> {
        let mut left = REPEATS;
        loop {
            match self.client.request(op.clone()).await {
                Err(ClientError::Disconnected | ClientError::Timeout(_)) if left > 0 => {
                    left -= 1;
                    tokio::time::sleep(REPEAT_AFTER).await;
                }
                other => return other,
            }
        }
    }

    /// `Ok` with the new state, or `Err` with the one that ended the call meanwhile.
    async fn step(&mut self, op: Op) -> Result<Result<CallState, CallState>, ClientError> {
        match self.repeat::<CallState>(op).await {
            Ok(state) if over(&state) => Ok(Err(state)),
            Ok(state) => Ok(Ok(state)),
            Err(error) => match self.ended_by(&error).await {
                Some(ended) => Ok(Err(ended)),
                None => {
                    self.release().await;
                    Err(error)
                }
            },
        }
    }

    /// `Ok` with a bound leg, or `Err` with the state that ended the call meanwhile.
    async fn leg(&mut self) -> Result<Result<Leg, CallState>, ClientError> {
        let session = self.session;
        let allocated = match self.repeat::<WireLeg>(Op::Alloc(Alloc { session })).await {
            Ok(allocated) => allocated,
            Err(error) => {
                return match self.ended_by(&error).await {
                    Some(ended) => Ok(Err(ended)),
                    None => Err(self.abandon(HangupReason::MediaFailed, error.to_string()).await),
                };
            }
        };
        self.leg = Some(allocated.leg);
        // A call that ends meanwhile takes its leg along: the relay would never answer.
        let bind = Leg::bind(&allocated);
        tokio::pin!(bind);
        loop {
            tokio::select! {
                bound = &mut bind => return match bound {
                    Ok(leg) => Ok(Ok(leg)),
                    Err(error) => {
                        Err(self.abandon(HangupReason::MediaFailed, error.to_string()).await)
                    }
                },
                Some(state) = self.states.recv() => {
                    if over(&state) {
                        return Ok(Err(state));
                    }
                    self.early = Some(state);
                }
            }
        }
    }

    /// When a request is refused because the call is over: the state that ended it.
    async fn ended_by(&mut self, error: &ClientError) -> Option<CallState> {
        if error.code() != Some(ErrorCode::Gone) {
            return None;
        }
        let ended = async {
            while let Some(state) = self.states.recv().await {
                if over(&state) {
                    return Some(state);
                }
            }
            None
        };
        tokio::time::timeout(ENDED_WITHIN, ended).await.ok().flatten()
    }

    /// `Ok` with state talk, or `Err` with the state that ended the call.
    async fn wait_for_talk(
        &mut self,
        first: CallState,
    ) -> Result<Result<CallState, CallState>, ClientError> {
        let mut state = self.early.take().unwrap_or(first);
        loop {
            if over(&state) {
                return Ok(Err(state));
            }
            if state.state == SessionState::Talk && state.answer.is_some() {
                return Ok(Ok(state));
            }
            state = match tokio::time::timeout(ANSWER_WITHIN, self.states.recv()).await {
                Ok(Some(state)) => state,
                Ok(None) => return Err(ClientError::Closed),
                Err(_) => {
                    let why = "nothing was heard of the call any more".to_owned();
                    return Err(self.abandon(HangupReason::Cancelled, why).await);
                }
            };
        }
    }

    /// Ends a call whose sides have no format in common.
    async fn incompatible(&mut self, why: String) -> ClientError {
        let (session, reason) = (self.session, HangupReason::Incompatible);
        let detail = Some("no-codec".to_owned());
        let _ = self.client.end(Hangup { session, reason, detail }).await;
        self.release().await;
        ClientError::Media(why)
    }

    /// Ends a call whose answer is not to be believed.
    async fn refuse(&mut self, refused: OfferRefused) -> ClientError {
        let OfferRefused { reason, detail, why } = refused;
        let (session, detail) = (self.session, Some(detail.as_str().to_owned()));
        let _ = self.client.end(Hangup { session, reason, detail }).await;
        self.release().await;
        ClientError::Media(why)
    }

    /// Ends a call that cannot go on.
    async fn abandon(&mut self, reason: HangupReason, why: String) -> ClientError {
        let _ = self.client.hangup(self.session, reason).await;
        self.release().await;
        ClientError::Media(why)
    }

    async fn finish_unanswered(
        mut self,
        state: &CallState,
        started: Mono,
    ) -> Result<CallReport, ClientError> {
        self.release().await;
        let setup = self.client.options().clock.mono().since(started);
        let reason = match state.state {
            SessionState::ResponderNotFound | SessionState::ResponderNotConnected => {
                HangupReason::NoAnswer
            }
            SessionState::Hangup
            | SessionState::Invite
            | SessionState::Ringing
            | SessionState::Talk => state.reason.unwrap_or_default(),
        };
        Ok(CallReport {
            session: self.session,
            peer: self.peer.to_string(),
            caller: self.caller,
            state: state.state,
            reason,
            who: state.who,
            answered: false,
            setup_ms: millis(setup),
            first_media_ms: None,
            talk_ms: 0,
            media: MediaStats::default(),
        })
    }

    async fn finish(
        mut self,
        outcome: Outcome,
        setup: Duration,
        to: Option<PathBuf>,
    ) -> Result<CallReport, ClientError> {
        if outcome.ended.is_none() {
            // A server that is gone ends the call by itself.
            let _ = self.client.hangup(self.session, HangupReason::Normal).await;
        }
        self.release().await;
        if let Some(path) = to {
            stream::record(outcome.recording, &path).await?;
        }
        let ended = outcome.ended.as_ref();
        let own = if self.caller { Who::Caller } else { Who::Callee };
        Ok(CallReport {
            session: self.session,
            peer: self.peer.to_string(),
            caller: self.caller,
            state: SessionState::Hangup,
            reason: ended.and_then(|state| state.reason).unwrap_or_default(),
            who: ended.map_or(Some(own), |state| state.who),
            answered: true,
            setup_ms: millis(setup),
            first_media_ms: outcome.first_media.map(millis),
            talk_ms: millis(outcome.talk),
            media: outcome.stats,
        })
    }

    async fn release(&mut self) {
        if let Some(leg) = self.leg.take() {
            let _ = self.client.request::<serde_json::Value>(Op::Free(Free { leg })).await;
        }
        let _ = self.client.submit(Command::Unwatch { session: self.session }).await;
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
