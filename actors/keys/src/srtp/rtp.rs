//! RTP headers (RFC 3550 §5.1).

/// Bytes of a header without CSRCs and extension.
pub const FIXED_LEN: usize = 12;

/// The parts of an RTP header that protection and playing need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Marker bit.
    pub marker: bool,
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Media time stamp.
    pub timestamp: u32,
    /// Source.
    pub ssrc: u32,
    /// Bytes of the whole header with CSRCs and extension.
    pub len: usize,
}

/// Bytes that are no RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RTP packet: version 2 and a complete header expected")]
pub struct NotRtp;

impl Header {
    /// A header without CSRCs and extension.
    pub fn new(payload_type: u8, sequence: u16, timestamp: u32, ssrc: u32) -> Self {
        let payload_type = payload_type & 0x7f;
        Self { marker: false, payload_type, sequence, timestamp, ssrc, len: FIXED_LEN }
    }

    /// Reads a header.
    pub fn parse(packet: &[u8]) -> Result<Self, NotRtp> {
        let fixed: &[u8; FIXED_LEN] = packet.first_chunk().ok_or(NotRtp)?;
        if fixed[0] >> 6 != 2 {
            return Err(NotRtp);
        }
        let mut len = FIXED_LEN + 4 * usize::from(fixed[0] & 0x0f);
        if fixed[0] & 0x10 != 0 {
            let extension = packet.get(len..len + 4).ok_or(NotRtp)?;
            len += 4 + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]));
        }
        if packet.len() < len {
            return Err(NotRtp);
        }
        Ok(Self {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            len,
        })
    }

    /// The 12 bytes of a header without CSRCs and extension.
    pub fn to_bytes(self) -> [u8; FIXED_LEN] {
        let mut out = [0; FIXED_LEN];
        out[0] = 0x80;
        out[1] = u8::from(self.marker) << 7 | self.payload_type & 0x7f;
        out[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        out[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        out[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        out
    }
}
