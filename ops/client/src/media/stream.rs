//! The media of one call over a bound leg: sends at the packet time, receives, counts, records.

use std::path::Path;
use std::time::Duration;

use crs_keys::srtp::{MasterKey, SrtpContext};
use crs_proto::wire::call::{CallState, SessionState};
use crs_types::{Clock, Mono};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use super::Codec;
use super::description::Description;
use super::leg::{DATAGRAM_MAX, Datagram, Leg};
use super::path::{PathWatch, Step};
use super::rtp::Sender;
use super::stats::{MediaStats, Receiver};
use super::wav::Audio;
use crate::error::ClientError;

/// How often the path is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// After the last packet or the hangup, time for what is still on its way.
const TAIL: Duration = Duration::from_millis(300);
/// A called side starts to send when the caller's first packet is here, or after this.
const START_WITHIN: Duration = Duration::from_millis(1500);
/// A caller that has sent everything waits this long for a peer that fell silent.
const PEER_SILENT: Duration = Duration::from_secs(2);

/// What a call's media needs.
#[derive(Debug)]
pub struct Plan {
    /// True at the caller, who ends the call when all has been sent.
    pub caller: bool,
    /// The outgoing stream.
    pub sender: Sender,
    /// What to send; silence without end when absent.
    pub play: Option<Audio>,
    /// Format when there is nothing to play.
    pub codec: Codec,
    /// What the other side announced.
    pub remote: Description,
    /// Protects what we send.
    pub send_key: MasterKey,
    /// Protects what we receive.
    pub receive_key: MasterKey,
    /// End the call after this long.
    pub duration: Option<Duration>,
    /// What the other side is known to send.
    pub expect: Option<Audio>,
}

/// How the media went.
#[derive(Debug)]
pub struct Outcome {
    /// Figures.
    pub stats: MediaStats,
    /// What arrived.
    pub recording: Audio,
    /// From the start to the first authentic packet.
    pub first_media: Option<Duration>,
    /// The state that ended the call, when the other side or the server did.
    pub ended: Option<CallState>,
    /// From the start to the end.
    pub talk: Duration,
}

struct Stream<'a> {
    leg: &'a mut Leg,
    path: PathWatch,
    clock: &'a dyn Clock,
    plan: Plan,
    out: SrtpContext,
    incoming: SrtpContext,
    receiver: Receiver,
    sent: u64,
    rejected: u64,
    started: bool,
    start: Mono,
    first_media: Option<Duration>,
    last_media: Mono,
    stop_at: Option<Instant>,
    ended: Option<CallState>,
}

/// Runs the media until the call ends; the caller of this function sends the hangup.
pub async fn run(
    leg: &mut Leg,
    plan: Plan,
    states: &mut mpsc::Receiver<CallState>,
    clock: &dyn Clock,
) -> Result<Outcome, ClientError> {
    let media = crate::crypto::crypto("media keys");
    let codec = plan.remote.codec().map_err(|e| ClientError::Media(e.to_string()))?;
    let now = clock.mono();
    let mut stream = Stream {
        leg,
        path: PathWatch::new(now),
        clock,
        out: SrtpContext::new(&plan.send_key).map_err(&media)?,
        incoming: SrtpContext::new(&plan.receive_key).map_err(&media)?,
        receiver: Receiver::new(codec, plan.remote.audio.seq),
        sent: 0,
        rejected: 0,
        started: plan.caller,
        start: now,
        first_media: None,
        last_media: now,
        stop_at: None,
        ended: None,
        plan,
    };
    stream.until_the_end(states).await?;
    Ok(stream.outcome())
}

/// Writes a recording, off the async threads.
pub async fn record(audio: Audio, path: &Path) -> Result<(), ClientError> {
    let path = path.to_owned();
    let write = tokio::task::spawn_blocking(move || {
        audio.write(&path).map_err(|e| ClientError::Media(format!("{}: {e}", path.display())))
    });
    write.await.map_err(|_| ClientError::Closed)?
}

impl Stream<'_> {
    async fn until_the_end(
        &mut self,
        states: &mut mpsc::Receiver<CallState>,
    ) -> Result<(), ClientError> {
        let mut buffer = vec![0; DATAGRAM_MAX];
        let mut ticks = ticks(self.plan.codec.interval());
        let mut look = interval(LOOK);
        loop {
            let stop_at = self.stop_at;
            tokio::select! {
                _ = ticks.tick() => self.tick().await?,
                received = self.leg.receive(&mut buffer) => {
                    if let Ok(length) = received {
                        self.datagram(&buffer[..length]).await;
                    }
                }
                _ = look.tick() => self.look_at_path().await,
                state = states.recv(), if self.ended.is_none() => self.state(state),
                () = stop(stop_at) => return Ok(()),
            }
        }
    }

    async fn tick(&mut self) -> Result<(), ClientError> {
        let now = self.clock.mono();
        let talk = now.since(self.start);
        self.started |= talk >= START_WITHIN;
        if self.started && self.ended.is_none() {
            if let Some(payload) = self.next_payload() {
                let mut packet = self.plan.sender.packet(&payload);
                self.out.protect(&mut packet).map_err(crate::crypto::crypto("media packet"))?;
                // A full or refused send is a lost packet, as on any network.
                let _ = self.leg.send(&packet).await;
                self.sent += 1;
            } else if self.plan.caller && self.peer_is_done(now) {
                self.stop(TAIL);
            }
        }
        if self.plan.duration.is_some_and(|limit| talk >= limit) {
            self.stop(Duration::ZERO);
        }
        Ok(())
    }

    fn next_payload(&self) -> Option<Vec<u8>> {
        let size = self.plan.codec.packet_bytes();
        match &self.plan.play {
            None => Some(vec![self.plan.codec.silence(); size]),
            Some(audio) => {
                let at = usize::try_from(self.sent).ok()?.checked_mul(size)?;
                audio
                    .payload
                    .get(at..)
                    .filter(|rest| !rest.is_empty())
                    .map(|rest| rest[..size.min(rest.len())].to_vec())
            }
        }
    }

    fn peer_is_done(&self, now: Mono) -> bool {
        match self.plan.remote.audio.packets {
            None => true,
            Some(packets) => {
                self.receiver.span() >= packets || now.since(self.last_media) >= PEER_SILENT
            }
        }
    }

    async fn look_at_path(&mut self) {
        match self.path.poll(self.clock.mono()) {
            Step::Wait => return,
            Step::Ask => {}
            Step::Renew => self.leg.renew().await,
        }
        self.leg.refresh().await;
    }

    async fn datagram(&mut self, bytes: &[u8]) {
        self.path.heard(self.clock.mono());
        match self.leg.sort(bytes).await {
            Datagram::Stun => {}
            Datagram::Other => self.rejected += 1,
            Datagram::Rtp => self.rtp(bytes.to_vec()),
        }
    }

    fn rtp(&mut self, mut packet: Vec<u8>) {
        let now = self.clock.mono();
        let expected = &self.plan.remote.audio;
        match self.incoming.unprotect(&mut packet) {
            Ok(header)
                if expected.ssrc.is_none_or(|ssrc| ssrc == header.ssrc)
                    && header.payload_type == expected.pt =>
            {
                self.first_media.get_or_insert(now.since(self.start));
                self.last_media = now;
                self.started = true;
                let payload = &packet[header.len..];
                self.receiver.packet(header.sequence, header.timestamp, payload, now.as_micros());
            }
            Ok(_) | Err(_) => self.rejected += 1,
        }
    }

    fn state(&mut self, state: Option<CallState>) {
        let over = |state: &CallState| match state.state {
            SessionState::Hangup
            | SessionState::ResponderNotFound
            | SessionState::ResponderNotConnected => true,
            SessionState::Invite | SessionState::Ringing | SessionState::Talk => false,
        };
        match state {
            Some(state) if over(&state) => {
                self.ended = Some(state);
                self.stop(TAIL);
            }
            Some(_) => {}
            None => self.stop(Duration::ZERO),
        }
    }

    fn stop(&mut self, after: Duration) {
        let at = Instant::now() + after;
        self.stop_at = Some(self.stop_at.map_or(at, |known| known.min(at)));
    }

    fn outcome(self) -> Outcome {
        let mut stats = self.receiver.stats();
        stats.sent = self.sent;
        stats.rejected = self.rejected;
        if let Some(expected) = &self.plan.expect {
            let (identical, different) = self.receiver.compare(expected);
            stats.identical = Some(identical);
            stats.different = Some(different);
        }
        Outcome {
            stats,
            recording: self.receiver.recording(),
            first_media: self.first_media,
            talk: self.clock.mono().since(self.start),
            ended: self.ended,
        }
    }
}

fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period);
    // Late ticks are made up for: the stream keeps its rate.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    ticks
}

async fn stop(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
