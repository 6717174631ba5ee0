//! The media description inside a call's offer and answer (docs/protocol-e2e.md): JSON
//! `{"audio":{"pt":0,"codec":"PCMU","rate":8000,"channels":1,…}}`.

use serde::{Deserialize, Serialize};

use super::Codec;

/// What one side will send and can take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The one audio stream.
    pub audio: AudioStream,
}

/// One side's audio stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioStream {
    /// RTP payload type that this side sends.
    pub pt: u8,
    /// `PCMU` or `L16`.
    pub codec: String,
    /// Samples per second.
    pub rate: u32,
    /// Channels.
    pub channels: u16,
    /// RTP payload types that this side can take; absent: every one of the media profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receive: Option<Vec<u8>>,
    /// Source of its packets; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssrc: Option<u32>,
    /// Sequence number of its first packet, so that a loss at the very start is seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u16>,
    /// How many packets it will send; absent: until the call ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
}

/// Why a description is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionError {
    /// Not JSON of this form.
    #[error("media description: {0}")]
    Form(String),
    /// A format this program does not know.
    #[error("media description: payload type {pt} as {codec}/{rate}/{channels} is not supported")]
    Format {
        /// Payload type.
        pt: u8,
        /// Name.
        codec: String,
        /// Samples per second.
        rate: u32,
        /// Channels.
        channels: u16,
    },
}

impl Description {
    /// Describes a side that sends `codec` and can take `receive`.
    pub fn new(codec: Codec, receive: &[Codec], ssrc: u32, seq: u16, packets: Option<u64>) -> Self {
        let audio = AudioStream {
            pt: codec.payload_type(),
            codec: codec.name().to_owned(),
            rate: codec.rate(),
            channels: codec.channels(),
            receive: Some(receive.iter().map(|codec| codec.payload_type()).collect()),
            ssrc: Some(ssrc),
            seq: Some(seq),
            packets,
        };
        Self { audio }
    }

    /// Parses what the other side sent.
    pub fn parse(bytes: &[u8]) -> Result<Self, DescriptionError> {
        serde_json::from_slice(bytes).map_err(|e| DescriptionError::Form(e.to_string()))
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The format that the described side sends. Dynamic payload types are told apart by name,
    /// rate and channels.
    pub fn codec(&self) -> Result<Codec, DescriptionError> {
        let AudioStream { pt, codec, rate, channels, .. } = &self.audio;
        let same = |known: &Codec| {
            known.name() == codec && known.rate() == *rate && known.channels() == *channels
        };
        Codec::ALL.into_iter().find(same).ok_or_else(|| DescriptionError::Format {
            pt: *pt,
            codec: codec.chars().take(20).collect(),
            rate: *rate,
            channels: *channels,
        })
    }

    /// True when the described side can take this format.
    pub fn takes(&self, codec: Codec) -> bool {
        self.audio.receive.as_ref().is_none_or(|list| list.contains(&codec.payload_type()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_round_trip() {
        for codec in Codec::ALL {
            let description = Description::new(codec, &Codec::ALL, 1, 7, Some(250));
            assert_eq!(Description::parse(&description.encode()), Ok(description.clone()));
            assert_eq!(description.codec(), Ok(codec));
        }
    }

    #[test]
    fn a_strangers_description_needs_only_the_format() {
        let text = br#"{"audio":{"pt":98,"codec":"L16","rate":16000,"channels":1},"video":{}}"#;
        let description = Description::parse(text).unwrap();
        assert_eq!(description.codec(), Ok(Codec::L16Mono16000));
        assert!(description.takes(Codec::Mulaw) && description.audio.seq.is_none());
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(matches!(Description::parse(b"{}"), Err(DescriptionError::Form(_))));
        let text = br#"{"audio":{"pt":111,"codec":"opus","rate":48000,"channels":2}}"#;
        let unknown = Description::parse(text).unwrap().codec();
        assert!(matches!(unknown, Err(DescriptionError::Format { pt: 111, .. })));
    }
}
