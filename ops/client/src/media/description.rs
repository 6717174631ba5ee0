//! The media description inside a call's offer and answer (docs/protocol-e2e.md): JSON
//! `{"v":1,"audio":{"send":0,"receive":[0,96],"ssrc":1,"seq":7,"packets":250}}`.

use serde::{Deserialize, Serialize};

use super::Codec;

/// What one side will send and can take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Version: 1.
    pub v: u32,
    /// The one audio stream.
    pub audio: AudioStream,
}

/// One side's audio stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioStream {
    /// RTP payload type that this side sends.
    pub send: u8,
    /// RTP payload types that this side can take.
    pub receive: Vec<u8>,
    /// Source of its packets.
    pub ssrc: u32,
    /// Sequence number of its first packet, so that a loss at the very start is seen.
    pub seq: u16,
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
    /// A newer version.
    #[error("media description of version {0}, this program reads version 1")]
    Version(u32),
    /// A payload type this program does not know.
    #[error("media description: payload type {0} is not supported")]
    PayloadType(u8),
}

impl Description {
    /// Parses what the other side sent.
    pub fn parse(bytes: &[u8]) -> Result<Self, DescriptionError> {
        let description: Self =
            serde_json::from_slice(bytes).map_err(|e| DescriptionError::Form(e.to_string()))?;
        match description.v {
            1 => Ok(description),
            other => Err(DescriptionError::Version(other)),
        }
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The format that the described side sends.
    pub fn codec(&self) -> Result<Codec, DescriptionError> {
        Codec::of_payload_type(self.audio.send)
            .ok_or(DescriptionError::PayloadType(self.audio.send))
    }

    /// True when the described side can take this format.
    pub fn takes(&self, codec: Codec) -> bool {
        self.audio.receive.contains(&codec.payload_type())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_round_trip_and_newer_versions_are_named() {
        let audio =
            AudioStream { send: 0, receive: vec![0, 96], ssrc: 1, seq: 7, packets: Some(250) };
        let description = Description { v: 1, audio };
        assert_eq!(Description::parse(&description.encode()), Ok(description.clone()));
        assert_eq!(description.codec(), Ok(Codec::Mulaw));
        assert!(description.takes(Codec::L16Mono16000) && !description.takes(Codec::L16Mono8000));
        let newer = Description { v: 2, ..description };
        assert_eq!(Description::parse(&newer.encode()), Err(DescriptionError::Version(2)));
        assert!(matches!(Description::parse(b"{}"), Err(DescriptionError::Form(_))));
    }
}
