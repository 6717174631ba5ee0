//! What was sent and what arrived: loss by sequence gaps, jitter (RFC 3550 §6.4.1), identity of
//! the samples.

use serde::Serialize;

use super::Codec;

/// Media figures of one call, seen from one side.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MediaStats {
    /// RTP packets sent.
    pub sent: u64,
    /// Authenticated RTP packets received, duplicates not counted.
    pub received: u64,
    /// Sequence numbers between the first and the last that never came.
    pub lost: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Datagrams that were neither STUN for us nor authentic SRTP.
    pub rejected: u64,
    /// Interarrival jitter in milliseconds.
    pub jitter_ms: f64,
    /// Packets whose samples equal the expected ones; present when something was expected.
    pub identical: Option<u64>,
    /// Packets whose samples differ from the expected ones.
    pub different: Option<u64>,
}

/// Receiving side of one RTP stream.
#[derive(Debug)]
pub struct Receiver {
    codec: Codec,
    /// Extended numbers of the first packet and of the newest; `None` until a first is known.
    span: Option<(u64, u64)>,
    first_timestamp: Option<u32>,
    received: u64,
    duplicates: u64,
    reordered: u64,
    jitter: f64,
    transit: Option<f64>,
    /// Payloads by extended sequence number minus the first.
    audio: Vec<Option<Vec<u8>>>,
}

/// Packets kept for recording: ten minutes at 20 ms. Later ones are counted, not kept.
pub const RECORD_MAX: usize = 30_000;

impl Receiver {
    /// A stream whose first packet has this sequence number, if its sender announced it.
    pub fn new(codec: Codec, sequence: Option<u16>) -> Self {
        let extended = |sequence| 0x1_0000 + u64::from(sequence);
        Self {
            codec,
            span: sequence.map(extended).map(|first| (first, first - 1)),
            first_timestamp: None,
            received: 0,
            duplicates: 0,
            reordered: 0,
            jitter: 0.0,
            transit: None,
            audio: Vec::new(),
        }
    }

    /// A packet with authentic content that arrived at `arrival_us` (any origin).
    pub fn packet(&mut self, sequence: u16, timestamp: u32, payload: &[u8], arrival_us: u64) {
        let start = 0x1_0000 + u64::from(sequence);
        let (first, highest) = *self.span.get_or_insert((start, start - 1));
        let extended = extend(highest, sequence);
        if extended < first {
            return;
        }
        let at = usize::try_from(extended - first).unwrap_or(usize::MAX);
        if at < RECORD_MAX {
            if self.audio.len() <= at {
                self.audio.resize(at + 1, None);
            }
            if self.audio[at].is_some() {
                self.duplicates += 1;
                return;
            }
            self.audio[at] = Some(payload.to_vec());
        }
        self.received += 1;
        self.reordered += u64::from(extended < highest);
        self.span = Some((first, highest.max(extended)));
        self.update_jitter(timestamp, arrival_us);
    }

    /// Figures so far.
    pub fn stats(&self) -> MediaStats {
        MediaStats {
            received: self.received,
            lost: self.span().saturating_sub(self.received),
            duplicates: self.duplicates,
            reordered: self.reordered,
            jitter_ms: self.jitter * 1000.0 / f64::from(self.codec.rate()),
            ..MediaStats::default()
        }
    }

    /// What arrived as audio, gaps filled with silence.
    pub fn recording(&self) -> super::wav::Audio {
        let mut payload = Vec::new();
        for packet in &self.audio {
            match packet {
                Some(bytes) => payload.extend(bytes),
                None => {
                    payload.resize(payload.len() + self.codec.packet_bytes(), self.codec.silence())
                }
            }
        }
        super::wav::Audio { codec: self.codec, payload }
    }

    /// Compares every received packet with the audio that was sent: (identical, different).
    pub fn compare(&self, sent: &super::wav::Audio) -> (u64, u64) {
        let mut expected = sent.payload.chunks(self.codec.packet_bytes());
        let (mut identical, mut different) = (0, 0);
        for packet in &self.audio {
            let expected = expected.next();
            let Some(packet) = packet else { continue };
            let same = sent.codec == self.codec
                && expected.is_some_and(|e| padded_equal(e, packet, self.codec));
            if same { identical += 1 } else { different += 1 }
        }
        (identical, different)
    }

    /// Packets of the stream up to the newest.
    pub fn span(&self) -> u64 {
        self.span.map_or(0, |(first, highest)| highest + 1 - first)
    }

    fn update_jitter(&mut self, timestamp: u32, arrival_us: u64) {
        let arrival = arrival_us as f64 * f64::from(self.codec.rate()) / 1e6;
        let first = *self.first_timestamp.get_or_insert(timestamp);
        let relative = f64::from(timestamp.wrapping_sub(first) as i32);
        let transit = arrival - relative;
        if let Some(before) = self.transit.replace(transit) {
            self.jitter += ((transit - before).abs() - self.jitter) / 16.0;
        }
    }
}

/// The 64-bit number nearest to the highest so far (RFC 3550 A.1).
fn extend(highest: u64, sequence: u16) -> u64 {
    let difference = sequence.wrapping_sub(highest as u16) as i16;
    highest.saturating_add_signed(i64::from(difference))
}

/// The last packet of a file is filled up with silence.
fn padded_equal(expected: &[u8], got: &[u8], codec: Codec) -> bool {
    got.len() >= expected.len()
        && got[..expected.len()] == *expected
        && got[expected.len()..].iter().all(|b| *b == codec.silence())
}

#[cfg(test)]
mod tests;
