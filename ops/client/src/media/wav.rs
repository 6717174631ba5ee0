//! WAV files: PCM 16 bit and µ-law, read whole and written at the end of a call.
//!
//! In memory, samples are in RTP order (network byte order for L16), so that a payload is a
//! slice of them.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Codec, mulaw};

/// Largest file that is read (10 minutes of stereo at 44.1 kHz).
pub const WAV_MAX: u64 = 128 * 1024 * 1024;
const FORMAT_PCM: u16 = 1;
const FORMAT_MULAW: u16 = 7;
const FORMAT_EXTENSIBLE: u16 = 0xfffe;

/// Audio of one format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audio {
    /// Format.
    pub codec: Codec,
    /// Samples as RTP carries them.
    pub payload: Vec<u8>,
}

/// Why a file is not usable.
#[derive(Debug, thiserror::Error)]
pub enum WavError {
    /// It cannot be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It is not a WAV file, or cut short.
    #[error("not a WAV file: {0}")]
    Form(&'static str),
    /// A WAV file of a format that calls do not carry.
    #[error(
        "expected PCM 16 bit mono at 8000, 16000 or 44100 Hz, PCM 16 bit stereo at 44100 Hz or \
         µ-law mono at 8000 Hz; got format {format}, {channels} channels, {rate} Hz, {bits} bit; \
         `ffmpeg -i IN.wav -ar 8000 -ac 1 -c:a pcm_s16le OUT.wav` makes one that fits"
    )]
    Format {
        /// Format tag.
        format: u16,
        /// Channels.
        channels: u16,
        /// Samples per second.
        rate: u32,
        /// Bits per sample.
        bits: u16,
    },
    /// Nothing to play.
    #[error("it holds no sound: its data chunk has not one whole sample")]
    Empty,
    /// Larger than this program reads.
    #[error("{0} bytes, at most {WAV_MAX} are read")]
    TooLarge(u64),
}

impl Audio {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, WavError> {
        let file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        if length > WAV_MAX {
            return Err(WavError::TooLarge(length));
        }
        // A device or a pipe has no length, and may have no end.
        let mut bytes = Vec::new();
        file.take(WAV_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > WAV_MAX {
            return Err(WavError::TooLarge(bytes.len() as u64));
        }
        Self::parse(&bytes)
    }

    /// Tries whether a file can be written there: better before a call than after it.
    pub fn try_write(path: &Path) -> Result<(), WavError> {
        let temp = part_of(path);
        std::fs::write(&temp, [])?;
        Ok(std::fs::remove_file(&temp)?)
    }

    /// Writes a file, through a temporary name.
    pub fn write(&self, path: &Path) -> Result<(), WavError> {
        let temp = part_of(path);
        std::fs::write(&temp, self.encode())?;
        std::fs::rename(&temp, path)?;
        Ok(())
    }

    /// From the bytes of a file.
    pub fn parse(bytes: &[u8]) -> Result<Self, WavError> {
        let riff = bytes.get(..12).ok_or(WavError::Form("shorter than its header"))?;
        if &riff[..4] != b"RIFF" || &riff[8..] != b"WAVE" {
            return Err(WavError::Form("no RIFF/WAVE header"));
        }
        let mut at = 12;
        let mut codec = None;
        while let Some(head) = bytes.get(at..at + 8) {
            let length = u32_at(head, 4) as usize;
            let body = &bytes[at + 8..];
            let chunk = &body[..length.min(body.len())];
            match &head[..4] {
                b"fmt " => codec = Some(parse_format(chunk)?),
                b"data" => {
                    let codec = codec.ok_or(WavError::Form("no fmt chunk before the data"))?;
                    // Half a sample at the end of a file that was cut is dropped.
                    let whole = chunk.len() - chunk.len() % codec.frame_bytes();
                    if whole == 0 {
                        return Err(WavError::Empty);
                    }
                    return Ok(Self { codec, payload: to_rtp(codec, &chunk[..whole]) });
                }
                _ => {}
            }
            at = at.saturating_add(8).saturating_add(length).saturating_add(length & 1);
        }
        Err(WavError::Form("no data chunk"))
    }

    /// As the bytes of a file.
    pub fn encode(&self) -> Vec<u8> {
        let codec = self.codec;
        let (format, bits) = match codec {
            Codec::Mulaw => (FORMAT_MULAW, 8u16),
            Codec::L16Stereo44100
            | Codec::L16Mono44100
            | Codec::L16Mono16000
            | Codec::L16Mono8000 => (FORMAT_PCM, 16),
        };
        let data = to_rtp(codec, &self.payload);
        let mut out = Vec::with_capacity(44 + data.len());
        out.extend(b"RIFF");
        out.extend((36 + data.len() as u32).to_le_bytes());
        out.extend(b"WAVEfmt ");
        out.extend(16u32.to_le_bytes());
        out.extend(format.to_le_bytes());
        out.extend(codec.channels().to_le_bytes());
        out.extend(codec.rate().to_le_bytes());
        out.extend((codec.rate() * codec.frame_bytes() as u32).to_le_bytes());
        out.extend((codec.frame_bytes() as u16).to_le_bytes());
        out.extend(bits.to_le_bytes());
        out.extend(b"data");
        out.extend((data.len() as u32).to_le_bytes());
        out.extend(data);
        out
    }

    /// A sine tone: something to hear in demos and tests.
    pub fn tone(codec: Codec, hertz: f64, millis: u32) -> Self {
        let samples = u64::from(codec.rate()) * u64::from(millis) / 1000;
        let mut payload = Vec::new();
        for n in 0..samples {
            let angle = std::f64::consts::TAU * hertz * n as f64 / f64::from(codec.rate());
            let value = (angle.sin() * 12_000.0) as i16;
            for _ in 0..codec.channels() {
                match codec.sample_bytes() {
                    1 => payload.push(mulaw::encode(value)),
                    _ => payload.extend(value.to_be_bytes()),
                }
            }
        }
        Self { codec, payload }
    }
}

fn part_of(path: &Path) -> PathBuf {
    path.with_extension("wav.part")
}

fn parse_format(chunk: &[u8]) -> Result<Codec, WavError> {
    if chunk.len() < 16 {
        return Err(WavError::Form("fmt chunk shorter than 16 bytes"));
    }
    let mut format = u16_at(chunk, 0);
    if format == FORMAT_EXTENSIBLE && chunk.len() >= 26 {
        format = u16_at(chunk, 24);
    }
    let (channels, rate, bits) = (u16_at(chunk, 2), u32_at(chunk, 4), u16_at(chunk, 14));
    match (format, channels, rate, bits) {
        (FORMAT_MULAW, 1, 8000, 8) => Ok(Codec::Mulaw),
        (FORMAT_PCM, 1, 8000, 16) => Ok(Codec::L16Mono8000),
        (FORMAT_PCM, 1, 16_000, 16) => Ok(Codec::L16Mono16000),
        (FORMAT_PCM, 1, 44_100, 16) => Ok(Codec::L16Mono44100),
        (FORMAT_PCM, 2, 44_100, 16) => Ok(Codec::L16Stereo44100),
        _ => Err(WavError::Format { format, channels, rate, bits }),
    }
}

/// WAV is little endian and RTP big endian: the same swap both ways.
fn to_rtp(codec: Codec, data: &[u8]) -> Vec<u8> {
    match codec.sample_bytes() {
        1 => data.to_vec(),
        _ => data.chunks_exact(2).flat_map(|s| [s[1], s[0]]).collect(),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_round_trip_in_every_format() {
        for codec in Codec::ALL {
            let audio = Audio::tone(codec, 440.0, 100);
            assert_eq!(audio.payload.len(), codec.rate() as usize / 10 * codec.frame_bytes());
            assert_eq!(Audio::parse(&audio.encode()).unwrap(), audio, "{codec:?}");
        }
    }

    #[test]
    fn other_chunks_are_skipped_and_a_short_data_chunk_is_taken_as_it_is() {
        let audio = Audio::tone(Codec::L16Mono8000, 440.0, 20);
        let mut bytes = audio.encode();
        let tail = bytes.split_off(36);
        bytes.extend(b"LIST\x03\0\0\0abc\0");
        bytes.extend(tail);
        assert_eq!(Audio::parse(&bytes).unwrap(), audio);
        bytes.truncate(bytes.len() - 10);
        assert_eq!(Audio::parse(&bytes).unwrap().payload.len(), audio.payload.len() - 10);
    }

    /// The length is looked at before the file is read; this one holds no data at all.
    #[test]
    fn a_file_over_the_limit_is_not_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(WAV_MAX + 1).unwrap();
        let refused = Audio::read(file.path()).unwrap_err();
        assert!(matches!(refused, WavError::TooLarge(length) if length == WAV_MAX + 1));
    }

    /// A device says that it has no bytes, and never ends.
    #[test]
    fn a_file_without_end_is_not_read_for_ever() {
        let refused = Audio::read(Path::new("/dev/zero")).unwrap_err();
        assert!(matches!(refused, WavError::TooLarge(length) if length == WAV_MAX + 1));
    }

    #[test]
    fn a_file_without_sound_is_refused_and_half_a_sample_is_dropped() {
        for codec in Codec::ALL {
            let sound = Audio::tone(codec, 440.0, 20);
            let header = sound.encode().len() - sound.payload.len();
            let cut = |samples: usize| Audio::parse(&sound.encode()[..header + samples]);
            assert!(matches!(cut(0), Err(WavError::Empty)), "{codec:?}");
            let frame = codec.frame_bytes();
            assert!(matches!(cut(frame - 1), Err(WavError::Empty)), "{codec:?}");
            let one = cut(2 * frame - 1).unwrap();
            assert_eq!(one.payload, sound.payload[..frame], "{codec:?}");
        }
    }

    #[test]
    fn a_format_that_calls_do_not_carry_is_named_with_a_way_out() {
        let mono = Audio::tone(Codec::L16Mono8000, 440.0, 20).encode();
        let with = |at: usize, bytes: &[u8]| {
            let mut changed = mono.clone();
            changed[at..at + bytes.len()].copy_from_slice(bytes);
            Audio::parse(&changed).unwrap_err().to_string()
        };
        for (why, got) in [
            (with(34, &[24, 0]), "format 1, 1 channels, 8000 Hz, 24 bit"),
            (with(22, &[2, 0]), "format 1, 2 channels, 8000 Hz, 16 bit"),
            (with(20, &[3, 0]), "format 3, 1 channels, 8000 Hz, 16 bit"),
        ] {
            assert!(why.contains(got) && why.contains("ffmpeg"), "{why}");
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_is_noticed_before_it_is() {
        let folder = tempfile::tempdir().unwrap();
        Audio::try_write(&folder.path().join("a.wav")).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing stays");
        assert!(Audio::try_write(&folder.path().join("none/a.wav")).is_err());
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(matches!(Audio::parse(b"RIFX"), Err(WavError::Form(_))));
        let mut bytes = Audio::tone(Codec::L16Mono8000, 440.0, 20).encode();
        bytes[24..28].copy_from_slice(&22_050u32.to_le_bytes());
        assert!(matches!(Audio::parse(&bytes), Err(WavError::Format { rate: 22_050, .. })));
        for length in 0..60 {
            let _ = Audio::parse(&bytes[..length.min(bytes.len())]);
        }
    }
}
