//! µ-law (ITU-T G.711) of linear 16-bit sound, at 8000 samples a second as PCMU is (RFC 3551
//! §4.5.14).

use super::Codec;
use super::wav::Audio;

/// Half the length of the low-pass filter, in samples of the result.
const REACH: f64 = 12.0;
/// Where the filter begins to close, as a share of the result's rate.
const CUTOFF: f64 = 0.45;

impl Audio {
    /// The same sound as PCMU: channels are mixed, faster sampling is filtered and reduced.
    pub fn to_mulaw(&self) -> Self {
        if self.codec == Codec::Mulaw {
            return self.clone();
        }
        let channels = usize::from(self.codec.channels());
        let mono: Vec<f64> = self
            .payload
            .chunks_exact(self.codec.frame_bytes())
            .map(|frame| {
                let samples = frame.chunks_exact(2).map(|b| i16::from_be_bytes([b[0], b[1]]));
                samples.map(f64::from).sum::<f64>() / channels as f64
            })
            .collect();
        let slow = reduce(mono, f64::from(self.codec.rate()) / f64::from(Codec::Mulaw.rate()));
        // A float that does not fit becomes the nearest value that does.
        let payload = slow.into_iter().map(|sample| encode(sample.round() as i16)).collect();
        Self { codec: Codec::Mulaw, payload }
    }
}

/// Every `step`th sample of the sound below half the new rate: a windowed sinc filter.
fn reduce(sound: Vec<f64>, step: f64) -> Vec<f64> {
    if step <= 1.0 {
        return sound;
    }
    let length = (sound.len() as f64 / step).ceil() as usize;
    let reach = REACH * step;
    (0..length)
        .map(|n| {
            let centre = n as f64 * step;
            let first = (centre - reach).max(0.0).ceil() as usize;
            let last = ((centre + reach) as usize).min(sound.len() - 1);
            let (mut sum, mut weights) = (0.0, 0.0);
            for (at, sample) in sound.iter().enumerate().take(last + 1).skip(first) {
                let weight = filter((at as f64 - centre) / step);
                sum += weight * sample;
                weights += weight;
            }
            sum / weights
        })
        .collect()
}

/// Weight of a sample this many new samples away.
fn filter(distance: f64) -> f64 {
    let angle = std::f64::consts::TAU * CUTOFF * distance;
    let sinc = if angle.abs() < 1e-9 { 1.0 } else { angle.sin() / angle };
    let window = 0.5 + 0.5 * (std::f64::consts::PI * distance / REACH).cos();
    sinc * window
}

/// The µ-law byte of a linear sample (G.711 table 2a, in units of a quarter).
pub(super) fn encode(sample: i16) -> u8 {
    const BIAS: i32 = 0x84;
    const CLIP: i32 = 32_635;
    let sign = if sample < 0 { 0x80u8 } else { 0 };
    let magnitude = i32::from(sample).abs().min(CLIP) + BIAS;
    let exponent = (7..=14).rev().find(|bit| magnitude & (1 << bit) != 0).unwrap_or(7) - 7;
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    !(sign | (exponent << 4) as u8 | mantissa as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decision values of G.711 table 2a for positive input: eight segments of 16 steps, each
    /// segment with steps twice as long. In the recommendation's unit, a quarter of ours.
    fn decision_values() -> Vec<i32> {
        let steps = (0..8).flat_map(|segment| std::iter::repeat_n(2 << segment, 16));
        // The very first step is half a step.
        let mut values = vec![0, 1];
        for step in steps.skip(1) {
            values.push(values[values.len() - 1] + step);
        }
        values
    }

    #[test]
    fn every_decision_value_of_the_recommendation_is_where_the_code_changes() {
        let values = decision_values();
        assert_eq!((values.len(), values[128]), (129, 8159));
        // The table names these ends of segments.
        let ends = [16, 32, 48, 64, 80, 96, 112].map(|n| values[n]);
        assert_eq!(ends, [31, 95, 223, 479, 991, 2015, 4063]);
        for (n, value) in values.iter().enumerate().take(128) {
            let code = 0xff - n as u8;
            let sample = (value * 4) as i16;
            assert_eq!(encode(sample), code, "decision value {value}");
            if n > 0 {
                assert_eq!(encode(sample - 1), code + 1, "below {value}");
                // Negative input is the mirror image, the bound itself included.
                assert_eq!(encode(-sample), code & 0x7f, "decision value -{value}");
            }
        }
    }

    #[test]
    fn the_character_signals_of_the_recommendation() {
        // Table 2a, column "character signal": ends of the segments and both extremes.
        for (value, code) in [
            (0, 0b1111_1111),
            (1, 0b1111_1110),
            (31, 0b1110_1111),
            (95, 0b1101_1111),
            (223, 0b1100_1111),
            (479, 0b1011_1111),
            (991, 0b1010_1111),
            (2015, 0b1001_1111),
            (4063, 0b1000_1111),
            (8158, 0b1000_0000),
        ] {
            assert_eq!(encode(value * 4), code, "{value}");
        }
        assert_eq!((encode(-1), encode(i16::MAX), encode(i16::MIN)), (0x7f, 0x80, 0x00));
    }

    #[test]
    fn sound_at_8000_is_converted_sample_by_sample() {
        let linear = Audio::tone(Codec::L16Mono8000, 440.0, 100);
        assert_eq!(linear.to_mulaw(), Audio::tone(Codec::Mulaw, 440.0, 100));
    }

    /// A linear value in the middle of a code's step.
    fn decode(code: u8) -> f64 {
        let code = !code;
        let (exponent, mantissa) = (i32::from(code >> 4 & 7), i32::from(code & 0x0f));
        let magnitude = (((mantissa << 1) + 33) << exponent) - 33;
        f64::from(magnitude * 4) * if code & 0x80 == 0 { 1.0 } else { -1.0 }
    }

    fn loudness(audio: &Audio) -> f64 {
        // The edges are where the filter sees half of the sound only.
        let middle = &audio.payload[audio.payload.len() / 4..audio.payload.len() * 3 / 4];
        let squares: f64 = middle.iter().map(|code| decode(*code).powi(2)).sum();
        (squares / middle.len() as f64).sqrt()
    }

    #[test]
    fn faster_and_stereo_sound_keeps_its_length_and_its_tone_and_does_not_alias() {
        let tone = 12_000.0 / 2f64.sqrt();
        for codec in [Codec::L16Mono16000, Codec::L16Mono44100, Codec::L16Stereo44100] {
            let heard = Audio::tone(codec, 440.0, 200).to_mulaw();
            assert_eq!((heard.codec, heard.payload.len()), (Codec::Mulaw, 1600));
            let share = loudness(&heard) / tone;
            assert!((0.95..1.05).contains(&share), "{codec:?}: {share}");
            // Above what 8000 samples can carry.
            let share = loudness(&Audio::tone(codec, 6_000.0, 200).to_mulaw()) / tone;
            assert!(share < 0.02, "{codec:?}: {share}");
        }
        assert!(
            Audio { codec: Codec::L16Mono16000, payload: Vec::new() }.to_mulaw().payload.is_empty()
        );
    }
}
