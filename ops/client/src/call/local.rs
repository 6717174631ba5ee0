//! What this side plays and expects, in formats that both sides can use.

use std::path::PathBuf;
use std::time::Duration;

use crs_keys::srtp::MasterKey;
use crs_types::OsRng;

use crate::error::ClientError;
use crate::media::Codec;
use crate::media::description::Description;
use crate::media::rtp::Sender;
use crate::media::stream::Plan;
use crate::media::wav::Audio;
use crate::options::CallMedia;

/// What this side plays and how it announces that.
pub(super) struct Local {
    sender: Sender,
    play: Option<Audio>,
    expect: Option<Audio>,
    pub(super) codec: Codec,
    receive: &'static [Codec],
}

impl Local {
    /// Reads the files. What the other side does not take as it is, is played as µ-law; `takes`
    /// says what it takes.
    pub(super) async fn new(
        media: &CallMedia,
        takes: impl Fn(Codec) -> bool,
    ) -> Result<Self, ClientError> {
        let receive: &[Codec] = if media.mulaw { &[Codec::Mulaw] } else { &Codec::ALL };
        let takes = |codec| receive.contains(&codec) && takes(codec);
        let play = read(media.play.clone()).await?;
        let expect = read(media.expect.clone()).await?;
        let wanted = play.as_ref().map_or(Codec::Mulaw, |audio| audio.codec);
        let codec = if takes(wanted) { wanted } else { Codec::Mulaw };
        if !takes(codec) {
            return Err(ClientError::Media(NO_FORMAT.to_owned()));
        }
        let play = converted(play, codec).await?;
        Ok(Self { sender: Sender::new(codec, &mut OsRng), play, expect, codec, receive })
    }

    /// What goes into the offer or the answer.
    pub(super) fn description(&self) -> Description {
        let size = self.codec.packet_bytes();
        let packets = self.play.as_ref().map(|audio| audio.payload.len().div_ceil(size) as u64);
        let (ssrc, sequence) = (self.sender.ssrc(), self.sender.sequence());
        Description::new(self.codec, self.receive, ssrc, sequence, packets)
    }

    /// True when this side takes what the other says it sends.
    pub(super) fn takes(&self, remote: &Description) -> bool {
        remote.codec().is_ok_and(|codec| self.receive.contains(&codec))
    }

    /// The plan of the call's media.
    pub(super) async fn plan(
        self,
        caller: bool,
        remote: Description,
        [send_key, receive_key]: [MasterKey; 2],
        duration: Option<Duration>,
    ) -> Result<Plan, ClientError> {
        let Self { sender, play, expect, codec, .. } = self;
        // The other side may have had to play its file as µ-law.
        let expect = match remote.codec() {
            Ok(Codec::Mulaw) => converted(expect, Codec::Mulaw).await?,
            Ok(_) | Err(_) => expect,
        };
        Ok(Plan { caller, sender, play, codec, remote, send_key, receive_key, duration, expect })
    }
}

/// There is no format that one side can send and the other can take.
pub(super) const NO_FORMAT: &str =
    "no common format: one side sends what the other cannot take (--mulaw sends what all can)";

/// As it is, or as µ-law; takes a moment for long recordings.
async fn converted(audio: Option<Audio>, codec: Codec) -> Result<Option<Audio>, ClientError> {
    match audio {
        Some(audio) if audio.codec != codec => {
            let convert = tokio::task::spawn_blocking(move || audio.to_mulaw());
            convert.await.map_err(|_| ClientError::Closed).map(Some)
        }
        as_it_is => Ok(as_it_is),
    }
}

async fn read(path: Option<PathBuf>) -> Result<Option<Audio>, ClientError> {
    let Some(path) = path else { return Ok(None) };
    let read = tokio::task::spawn_blocking(move || {
        Audio::read(&path).map_err(|e| ClientError::Media(format!("{}: {e}", path.display())))
    });
    read.await.map_err(|_| ClientError::Closed)?.map(Some)
}
