//! The payload formats of calls (RFC 3551): µ-law and linear 16 bit.

/// One RTP payload format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// PCMU/8000, payload type 0.
    Mulaw,
    /// L16/44100 stereo, payload type 10.
    L16Stereo44100,
    /// L16/44100 mono, payload type 11.
    L16Mono44100,
    /// L16/16000 mono, payload type 96 (docs/protocol.md, *Media profile*).
    L16Mono16000,
    /// L16/8000 mono, payload type 97.
    L16Mono8000,
}

/// Largest payload in bytes, so that a packet stays within the relay's 1 500.
pub const PAYLOAD_MAX: usize = 1200;

impl Codec {
    /// Every format.
    pub const ALL: [Self; 5] = [
        Self::Mulaw,
        Self::L16Stereo44100,
        Self::L16Mono44100,
        Self::L16Mono16000,
        Self::L16Mono8000,
    ];

    /// RTP payload type.
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Mulaw => 0,
            Self::L16Stereo44100 => 10,
            Self::L16Mono44100 => 11,
            Self::L16Mono16000 => 96,
            Self::L16Mono8000 => 97,
        }
    }

    /// Name of the encoding (RFC 3551).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mulaw => "PCMU",
            Self::L16Stereo44100 | Self::L16Mono44100 | Self::L16Mono16000 | Self::L16Mono8000 => {
                "L16"
            }
        }
    }

    /// Samples per second and channel; also the RTP clock rate.
    pub const fn rate(self) -> u32 {
        match self {
            Self::Mulaw | Self::L16Mono8000 => 8000,
            Self::L16Mono16000 => 16_000,
            Self::L16Mono44100 | Self::L16Stereo44100 => 44_100,
        }
    }

    /// Channels.
    pub const fn channels(self) -> u16 {
        match self {
            Self::L16Stereo44100 => 2,
            Self::Mulaw | Self::L16Mono44100 | Self::L16Mono16000 | Self::L16Mono8000 => 1,
        }
    }

    /// Bytes of one sample of one channel.
    pub const fn sample_bytes(self) -> usize {
        match self {
            Self::Mulaw => 1,
            Self::L16Stereo44100 | Self::L16Mono44100 | Self::L16Mono16000 | Self::L16Mono8000 => 2,
        }
    }

    /// Bytes of one sample of all channels.
    pub const fn frame_bytes(self) -> usize {
        self.sample_bytes() * self.channels() as usize
    }

    /// Packet time in milliseconds: 20, or as much less as keeps the payload small enough.
    pub const fn ptime_ms(self) -> u32 {
        let mut ms = 20;
        while ms > 5 && self.rate() as usize * ms / 1000 * self.frame_bytes() > PAYLOAD_MAX {
            ms /= 2;
        }
        ms as u32
    }

    /// Exact time between packets: whole samples, so a little less than the packet time at 44.1 kHz
    /// stereo.
    pub const fn interval(self) -> std::time::Duration {
        let micros = self.packet_samples() as u64 * 1_000_000 / self.rate() as u64;
        std::time::Duration::from_micros(micros)
    }

    /// Samples per channel in one packet.
    pub const fn packet_samples(self) -> u32 {
        self.rate() * self.ptime_ms() / 1000
    }

    /// Bytes of one full packet's payload.
    pub const fn packet_bytes(self) -> usize {
        self.packet_samples() as usize * self.frame_bytes()
    }

    /// The byte of silence.
    pub const fn silence(self) -> u8 {
        match self {
            Self::Mulaw => 0xff,
            Self::L16Stereo44100 | Self::L16Mono44100 | Self::L16Mono16000 | Self::L16Mono8000 => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packet_fits_and_holds_whole_samples() {
        for codec in Codec::ALL {
            assert!(codec.packet_bytes() <= PAYLOAD_MAX, "{codec:?}");
            assert_eq!(codec.packet_bytes() % codec.frame_bytes(), 0);
        }
        assert_eq!(Codec::Mulaw.packet_bytes(), 160);
        assert_eq!(Codec::L16Mono16000.packet_bytes(), 640);
        assert_eq!((Codec::L16Mono44100.ptime_ms(), Codec::L16Stereo44100.ptime_ms()), (10, 5));
    }
}
