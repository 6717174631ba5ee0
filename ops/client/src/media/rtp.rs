//! RTP packets of one outgoing stream (RFC 3550 §5.1).

use crs_keys::srtp::rtp::{FIXED_LEN, Header};
use crs_types::Rng;

use super::Codec;

/// The sending side of one stream.
#[derive(Debug)]
pub struct Sender {
    codec: Codec,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    first: bool,
}

impl Sender {
    /// A stream with random source, sequence number and timestamp (RFC 3550 §5.1). The sequence
    /// number starts in the lower half, so that the first packets cannot make a receiver's
    /// roll-over counter ambiguous (RFC 3711 §3.3.1).
    pub fn new(codec: Codec, rng: &mut dyn Rng) -> Self {
        let mut bytes = [0u8; 10];
        rng.fill(&mut bytes);
        let word = |at: usize| {
            u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let sequence = u16::from_be_bytes([bytes[8], bytes[9]]) & 0x7fff;
        Self { codec, ssrc: word(0), sequence, timestamp: word(4), first: true }
    }

    /// Sequence number of the next packet.
    pub fn sequence(&self) -> u16 {
        self.sequence
    }

    /// The stream's source.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The next packet; a short last payload is filled up with silence.
    pub fn packet(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(FIXED_LEN + self.codec.packet_bytes() + 16);
        let mut header =
            Header::new(self.codec.payload_type(), self.sequence, self.timestamp, self.ssrc);
        header.marker = self.first;
        out.extend(header.to_bytes());
        out.extend(payload);
        out.resize(FIXED_LEN + self.codec.packet_bytes().max(payload.len()), self.codec.silence());
        self.first = false;
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(self.codec.packet_samples());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crs_types::rng::SeededRng;

    #[test]
    fn packets_follow_each_other() {
        let mut sender = Sender::new(Codec::Mulaw, &mut SeededRng::new(3));
        let first = sender.packet(&[1; 160]);
        let second = sender.packet(&[2; 10]);
        let (a, b) = (Header::parse(&first).unwrap(), Header::parse(&second).unwrap());
        assert_eq!((first.len(), second.len()), (172, 172));
        assert_eq!(b.sequence, a.sequence.wrapping_add(1));
        assert_eq!(b.timestamp, a.timestamp.wrapping_add(160));
        assert_eq!((a.ssrc, a.len, a.payload_type), (b.ssrc, FIXED_LEN, 0));
        assert_eq!((a.marker, b.marker), (true, false));
        assert!(second[22..].iter().all(|b| *b == 0xff));
    }
}
