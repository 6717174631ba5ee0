//! WAV files of any content; what is read can be written, read again and sent as µ-law.
#![no_main]

use crs_client::media::wav::Audio;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(audio) = Audio::parse(bytes) {
        assert!(!audio.payload.is_empty());
        assert_eq!(audio.payload.len() % audio.codec.frame_bytes(), 0);
        assert_eq!(Audio::parse(&audio.encode()).expect("what we write"), audio);
        let _ = audio.to_mulaw();
    }
});
